"""Finds the files that lists and tables name, also where their paths were written on another machine.

A path is tried as it is written, with Windows' separators, in another case or Unicode form, without its
suffix, and at last below another root. A file is taken only if it is the only one that fits.
"""

import contextlib
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.shards.members import file_exists
from hubtune.errors import file_name_error
from hubtune.text import escaped, plural

_HAS_DRIVES = os.name == "nt"
_MOST_PARENTS = 3
_MOST_FOLDERS = 50
_SAMPLE = 50
_MOST_COMPLETE = 3  # other roots that a message names


@dataclass
class FoundFiles:
    """The files that written paths stand for.

    Attributes:
        paths: for each written path the path that exists, from the same base; ``None`` where there is none.
        remarks: how paths were found that are written otherwise, one sentence each.
        hint: what would fit the first missing path, a sentence with a space before it, or empty.
    """

    paths: list[str | None]
    remarks: list[str] = field(default_factory=list)
    hint: str = ""


def find_files(
    written: Sequence[str], base: Path, *, closed: bool = False, other_roots: bool = True
) -> FoundFiles:
    """Find the files of paths that start from ``base``.

    Where none of them is there, other roots are tried, unless ``other_roots`` is false; with ``closed``, only
    those below ``base``.

    Raises:
        MachineError: the encoding of file names here lacks a character of a path.
    """
    _check_encoding(written)
    folders = _Folders()
    start = os.fspath(base)
    paths = [path if file_exists(_join(start, path)) else folders.find(base, path) for path in written]
    if other_roots and written and paths.count(None) == len(paths):
        return _find_below_other_root(written, base, folders, closed=closed)
    found = FoundFiles(paths)
    respelled = [
        number for number, path in enumerate(paths) if path is not None and path != _plain(written[number])
    ]
    if respelled:
        one, other = written[respelled[0]], paths[respelled[0]] or ""
        found.remarks.append(
            f"{plural(len(respelled), 'path')} found in another spelling, such as '{escaped(one)}' as "
            f"'{escaped(other)}'."
        )
    if None in paths:
        found.hint = folders.hint(base, written[paths.index(None)])
    return found


def _check_encoding(written: Sequence[str]) -> None:
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        for path in written:
            try:
                os.fsencode(path)
            except UnicodeEncodeError as error:
                raise file_name_error(path, encoding) from error


def _plain(path: str) -> str:
    return path.replace("\\", "/").rstrip(" \t") if "\\" in path or path[-1:] in (" ", "\t") else path


def _join(folder: str | Path, path: str) -> str:
    # Path's own operator takes longer than the look at the disk that it is for.
    is_complete = path.startswith("/") or (_HAS_DRIVES and path[1:2] == ":") or not str(folder)
    return path if is_complete else f"{folder}/{path}"


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class _Folders:
    """Looks for paths in folders, each of which is read once."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, list[str]]] = {}
        self._resolved: dict[tuple[str, str], str | None] = {}

    def find(self, base: Path, path: str) -> str | None:
        """Return the only path that fits in another spelling, or ``None``."""
        plain = _plain(path)
        if plain != path and file_exists(_join(base, plain)):
            return plain
        folder, separator, name = plain.rpartition("/")
        place = self._find_folder(os.fspath(base), folder or separator)
        fitting = [] if place is None else self._fitting(_join(base, place), name, is_last=True)
        return _join(place or "", fitting[0]) if len(fitting) == 1 else None

    def hint(self, base: Path, path: str) -> str:
        """Return a sentence about what is there in place of a missing file, or an empty string."""
        folder, separator, name = _plain(path).rpartition("/")
        place = self._find_folder(os.fspath(base), folder or separator)
        if place is None:
            return f" There is no folder '{escaped(folder)}'."
        stem = _fold(Path(name).stem)
        names = [one for names in self._read(_join(base, place)).values() for one in names]
        near = [f"'{escaped(one)}'" for one in names if _fold(Path(one).stem) == stem]
        return f" There {'are' if len(near) > 1 else 'is'} {' and '.join(near[:3])}." if near else ""

    def subfolders(self, base: Path) -> list[str]:
        """Return the names of the visible folders in a folder."""
        names = [name for found in self._read(os.fspath(base)).values() for name in found]
        return [name for name in names if not name.startswith(".") and (base / name).is_dir()]

    def _find_folder(self, base: str, folder: str) -> str | None:
        if folder in ("", "/"):
            return folder
        if _HAS_DRIVES and len(folder) == 2 and folder[1] == ":":
            return f"{folder}/"
        known = (base, folder)
        if known not in self._resolved:
            above, separator, name = folder.rpartition("/")
            place = self._find_folder(base, above or separator)
            fitting = [] if place is None else self._fitting(_join(base, place), name)
            self._resolved[known] = _join(place or "", fitting[0]) if len(fitting) == 1 else None
        return self._resolved[known]

    def _fitting(self, folder: str, name: str, *, is_last: bool = False) -> list[str]:
        if name in ("", ".", ".."):
            return [name]
        names = self._read(folder)
        fitting = names.get(_fold(name), [])
        if name in fitting:
            return [name]
        if not fitting and is_last and Path(name).suffix.lower() not in IMAGE_SUFFIXES:
            fitting = [other for suffix in IMAGE_SUFFIXES for other in names.get(_fold(name) + suffix, [])]
        return fitting

    def _read(self, folder: str) -> dict[str, list[str]]:
        """Return the names in a folder by their case-folded NFC form; none if it cannot be read."""
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            with contextlib.suppress(OSError, ValueError), os.scandir(folder or ".") as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    names.setdefault(_fold(entry.name), []).append(entry.name)
            self._names[folder] = names
        return self._names[folder]


@dataclass(frozen=True)
class _Root:
    """Another place that paths may start from.

    Attributes:
        above: number of folders above the base.
        dropped: number of first parts of the paths that are omitted.
        below: a folder in the base.
    """

    above: int = 0
    dropped: int = 0
    below: str = ""

    def moved(self, path: str) -> str:
        below = [self.below] if self.below else []
        return "/".join([*[".."] * self.above, *below, *_parts(path)[self.dropped :]])

    def describe(self, path: str, base: Path) -> str:
        start = "/" * path.startswith("/") + "/".join(_parts(path)[: self.dropped])
        without = f" without '{escaped(start)}/'" if self.dropped else ""
        place = f" in {base.absolute().parents[self.above - 1]}" if self.above else ""
        place = f" in {base / self.below}" if self.below else place
        return f"{without}{place}"


def _parts(path: str) -> list[str]:
    return [part for part in _plain(path).split("/") if part not in ("", ".")]


def _find_below_other_root(
    written: Sequence[str], base: Path, folders: _Folders, *, closed: bool
) -> FoundFiles:
    """Find files of which none is where its path says: at another root if exactly one explains all paths."""
    sample = written[:: max(1, len(written) // _SAMPLE)]
    depth = min(len(_parts(path)) for path in written)
    parents = 0 if closed else min(_MOST_PARENTS, len(base.absolute().parents) - 1)
    roots = [_Root(above, dropped) for above in range(parents + 1) for dropped in range(depth)][1:]
    roots += [_Root(below=name) for name in folders.subfolders(base)[:_MOST_FOLDERS]]
    candidates = [
        (sum(folders.find(base, root.moved(path)) is not None for path in sample), root)
        for root in roots
        if len({tuple(_parts(path)[: root.dropped]) for path in sample}) == 1
        and not any(".." in _parts(path)[root.dropped :] for path in sample)
    ]
    complete: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    for count, root in candidates:
        if len(complete) == _MOST_COMPLETE:
            break  # certain to be named as uncertain
        paths = _find_all(written, base, folders, root) if count == len(sample) else None
        if paths is not None:
            files = tuple(os.path.normpath(_join(base.absolute(), path)) for path in paths)
            complete.setdefault(files, (root.describe(written[0], base), paths))
    places = [place for place, _ in complete.values()]
    if len(complete) == 1:
        [(place, paths)] = complete.values()
        remark = f"The paths are those of another folder; {plural(len(paths), 'file')} found{place}."
        return FoundFiles([*paths], [remark])
    count, best = max(candidates, key=lambda candidate: candidate[0], default=(0, None))
    if complete:
        hint = f" They would be there{' and also'.join(places)}: correct them."
    elif best is not None and count:
        hint = f" {count} of {len(sample)} would be there{best.describe(written[0], base)}."
    else:
        hint = folders.hint(base, written[0])
    return FoundFiles([None] * len(written), hint=hint)


def _find_all(written: Sequence[str], base: Path, folders: _Folders, root: _Root) -> list[str] | None:
    """Return the files of all paths from another root; ``None`` if one is missing or two are the same."""
    found = [folders.find(base, root.moved(path)) for path in written]
    paths = [path for path in found if path is not None]
    # Two paths that lead to one file would mean that the dropped part told them apart.
    return paths if len(paths) == len(found) and len(set(paths)) == len(set(written)) else None
