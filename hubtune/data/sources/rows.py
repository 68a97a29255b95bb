"""Collects the files that the rows of a table or the lines of lists name, and checks them one by one."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.list_labels import SEVERAL_CURE
from hubtune.data.listing import Excluded, Listing, SourceFile, in_order
from hubtune.errors import DataError
from hubtune.text import escaped, first_few, plural


@dataclass
class Rows:
    """The files of rows.

    Paths start from ``base``, and stay in it if ``closed``. ``labels`` are the classes in order; if empty,
    those of the rows. ``several`` says what settles the question of two labels. ``absent`` has the names of
    missing files, and why; they are left out.
    """

    base: Path
    closed: bool = False
    labels: list[str] = field(default_factory=list)
    absent: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    several: str = SEVERAL_CURE
    _files: dict[tuple[str, str | None], tuple[SourceFile, str]] = field(default_factory=dict)
    _first: dict[str, tuple[str, SourceFile]] = field(default_factory=dict)
    _missing: list[str] = field(default_factory=list)
    _repeated: int = 0

    def add(
        self, where: str, written: str, found: str | None, label: str, group: str | None, part: str | None
    ) -> None:
        """Add a row: its file and line for messages, its path as written and as found.

        Raises:
            DataError: if the same file has another label or group in another row, or a path leads out.
        """
        name = posixpath.normpath(written.replace("\\", "/") if found is None else found)
        if self.closed and (name.startswith(("../", "/")) or name == ".." or Path(name).is_absolute()):
            raise DataError(
                f"{where}: '{escaped(written)}' leads out of the folder of the table, which it must not"
            )
        if "\n" in label or "\r" in label:
            raise DataError(f"{where}: the label {label!r} has a line break, which a label list cannot hold")
        if found is None:
            if name not in self.absent:
                self._missing.append(f"'{escaped(written)}' ({where.rpartition('/')[2]})")
            return
        file = SourceFile(self.base / name, name, label, group, part)
        place, first = self._first.setdefault(name, (where, file))
        for what, one, two in (("label", label, first.label), ("group", group, first.group)):
            if one != two:
                raise DataError(
                    f"{where}: '{escaped(written)}' has the {what} {one!r}, but {two!r} at {place}: "
                    "keep the right line" + self.several * (what == "label")
                )
        # Two files that pass this check differ by their parts alone.
        self._repeated += (name, part) in self._files
        self._files.setdefault((name, part), (file, where))

    def listing(self, source: Path, least_classes: int = 2) -> Listing:
        """Return the files of all rows.

        Raises:
            DataError: if a file is missing, only some rows have a part, or there are too few classes.
        """
        if self._missing:
            verb = "is" if len(self._missing) == 1 else "are"
            raise DataError(
                f"{source}: {plural(len(self._missing), 'file')} that it names {verb} not there: "
                f"{first_few(self._missing)}; paths start from {self.base}.{self.hint}"
            )
        files = [file for file, _ in self._files.values()]
        without = [where for file, where in self._files.values() if file.part is None]
        if 0 < len(without) < len(files):
            raise DataError(f"{without[0]}: no split, but other lines have one: fill all of them, or none")
        labels = self.labels or in_order({file.label for file in files})
        if len(labels) < least_classes:
            what = f"only one class, {labels[0]!r}" if labels else "no picture"
            raise DataError(f"{source} names {what}; a classifier needs two classes")
        left_out = [Excluded(self.base / name, reason) for name, reason in self.absent.items()]
        listing = Listing(self.base, labels, files, left_out)
        listing.sort()
        if self._repeated:
            listing.remarks.append(
                f"{plural(self._repeated, 'line')} of {source.name} repeated, and counted once."
            )
        return listing
