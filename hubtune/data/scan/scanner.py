"""Finding pictures in a folder-per-class tree, and looking at each one before anything relies on it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import IMAGE_SUFFIXES
from hubtune.data.listing import Excluded, ImageEntry, Listing, known_as
from hubtune.data.scan.fingerprint import Spool
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.looks import looks_at
from hubtune.data.sources.folder import walk_classes, walk_files
from hubtune.errors import DataError
from hubtune.text import first_few, plural

# Formats that go by the names of another.
_KIN = {"MPO": "JPEG", "DIB": "BMP"}


Advance = Callable[[int, int], None]
"""Told the number of files done, and of all files."""


@dataclass
class Scan:
    """What was found in a folder, or another source.

    Attributes:
        root: the scanned folder.
        classes: class → its pictures, in the order of the source; of a folder, both sorted by name.
        left_out: files that promise to be pictures but are not used.
        strays: files that are no pictures.
        said: what the source itself had to say, one sentence each.
        renamed: pictures whose extension belongs to another format; they are used.
        animated: pictures with several frames, of which the first is used.
    """

    root: Path
    classes: dict[str, list[ImageEntry]] = field(default_factory=dict)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    renamed: list[Path] = field(default_factory=list)
    animated: list[Path] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """What a person should know of the files, one sentence each."""
        found = (
            (self.non_images, "is no picture", "are no pictures", "passed over"),
            (
                self.renamed,
                "has another format than its name says",
                "have other formats than their names say",
                "used",
            ),
            (self.animated, "has several frames", "have several frames", "the first is used"),
        )
        said = list(self.said)
        for paths, one, many, then in found:
            if paths:
                names = first_few([known_as(path, self.root) for path in paths])
                verb = one if len(paths) == 1 else many
                said.append(f"{plural(len(paths), 'file')} {verb} ({then}): {names}.")
        return said


def survey(listing: Listing, *, advance: Advance | None = None) -> Scan:
    """Look at every file that a source names, as :func:`scan_listing`; classes may come out empty."""
    scan = Scan(listing.root, {label: [] for label in listing.labels})
    scan.left_out += listing.left_out
    scan.non_images += listing.non_images
    scan.said += listing.remarks
    suffixes = Image.registered_extensions()
    spool = Spool()
    numbers = {label: number for number, label in enumerate(listing.labels)}
    outcomes = looks_at([file.path for file in listing.files])
    for done, (file, outcome) in enumerate(zip(listing.files, outcomes, strict=True), start=1):
        path, suffix = file.path, file.path.suffix.lower()
        promises = suffix in IMAGE_SUFFIXES
        if isinstance(outcome, ImageInfo):
            expected = suffixes.get(suffix, outcome.format)
            if promises and _KIN.get(expected, expected) != _KIN.get(outcome.format, outcome.format):
                scan.renamed.append(path)
            if outcome.frames > 1 and outcome.format != "MPO":  # a camera's MPO holds its preview, too
                scan.animated.append(path)
            facts = replace(outcome, fingerprint=spool.add(bytes(outcome.fingerprint)))
            scan.classes[file.label].append(
                ImageEntry(path, numbers[file.label], file.name, facts.sha256, file.group, file.part, facts)
            )
        elif promises or not outcome.startswith("not a picture"):
            scan.left_out.append(Excluded(path, outcome, unreadable=True))
        else:
            scan.non_images.append(path)
        if advance is not None:
            advance(done, len(listing.files))
    return scan


def scan_listing(listing: Listing, *, advance: Advance | None = None) -> Scan:
    """Look at every file that a source names, once, each to its last byte.

    Args:
        listing: the files.
        advance: called after each file.

    Raises:
        DataError: if a class has no picture that can be used.
    """
    scan = survey(listing, advance=advance)
    empty = [label for label, images in scan.classes.items() if not images]
    if not empty:
        return scan
    folder = listing.root / empty[0]
    named = {file.path for file in listing.files if file.label == empty[0]}
    refused = [
        entry
        for entry in scan.left_out
        if entry.path in named or entry.path == folder or folder in entry.path.parents
    ]
    why = (
        f" ({plural(len(refused), 'file')} left out, first {known_as(refused[0].path, folder)}: "
        f"{refused[0].reason})"
        if refused
        else ""
    )
    others = f" The same holds for {first_few(empty[1:])}." if len(empty) > 1 else ""
    if os.path.isdir(folder):  # noqa: PTH112  # a table may name classes as no folder can be
        raise DataError(
            f"{folder} holds no picture that can be used{why}: fill the folder, or remove it.{others}"
        )
    raise DataError(f"Class {empty[0]!r} of {listing.root} has no picture that can be used{why}.{others}")


def scan_classes(root: Path, *, skip: Path | None = None, advance: Advance | None = None) -> Scan:
    """Look at every file of a folder-per-class tree: :func:`walk_classes` and :func:`scan_listing`.

    Raises:
        DataError: as they do.
    """
    return scan_listing(walk_classes(root, skip=skip), advance=advance)


def scan_files(root: Path) -> Scan:
    """Inspect every image below a folder, whatever its folders are called; they all go to class ``""``.

    Raises:
        DataError: if the folder is missing, or cannot be opened.
    """
    return survey(walk_files(root))
