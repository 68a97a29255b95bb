"""Finding pictures in a folder-per-class tree, and looking at each one before anything relies on it."""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import IMAGE_SUFFIXES, is_image
from hubtune.data.listing import Excluded, ImageEntry, Listing, SourceFile, known_as
from hubtune.data.scan.fingerprint import Spool
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.looks import looks_at
from hubtune.errors import DataError
from hubtune.text import first_few, plural

# What operating systems leave in folders; never a picture, and never worth a word.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_READY_MADE = frozenset({"train", "training", "val", "valid", "validate", "validation", "dev", "test"})
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


def walk_classes(root: Path, *, skip: Path | None = None) -> Listing:
    """List the files of a folder-per-class tree; none of them is opened, but loose ones with unusual names.

    A class is a folder directly below ``root``; its pictures may lie in folders below it. Hidden and system
    files are passed over. Links that lead to what the walk reaches anyway are left out, so that links in a
    circle do no harm.

    Args:
        root: the tree.
        skip: a folder inside it that is not looked at.

    Raises:
        DataError: if the tree is missing, or has fewer than two classes.
    """
    walk = Walk(root, skip)
    listing = walk.listing
    for entry in walk.entries(root):
        path = root / entry.name
        if is_folder(entry):
            if walk.may_enter(path):
                label = class_name(path)
                listing.labels.append(label)
                listing.files += (SourceFile(file, _name(file, root), label) for file in walk.files(path))
        else:
            walk.note_loose(path)
    _check_layout(listing)
    listing.remarks += (
        f"The folder {name!r} counts as a class; if it holds test pictures of the others: "
        f"--test-dir {root / name}."
        for name in listing.labels
        if name.lower() in _READY_MADE and not name.lower().startswith("train")
    )
    return listing


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
    """Look at every picture below a folder, whatever the folders are called; they all go to class ``""``.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    walk = Walk(root)
    walk.listing.labels = [""]
    walk.listing.files += (SourceFile(path, _name(path, root), "") for path in walk.files(root))
    return survey(walk.listing)


def walk_images(folder: Path) -> Listing:
    """List the pictures below a folder, whatever its folders are called; they all go to class ``""``.

    Only files are opened whose names promise nothing, for their first bytes.

    Raises:
        DataError: if the folder is not there, or cannot be opened.
    """
    walk = Walk(folder)
    listing = walk.listing
    listing.labels = [""]
    for path in walk.files(folder):
        if is_image(path):
            listing.files.append(SourceFile(path, _name(path, folder), ""))
        else:
            listing.non_images.append(path)
    return listing


def name_key(name: str) -> tuple[str, str]:
    """What names are sorted by: the same on macOS, which stores another Unicode form than Linux."""
    return unicodedata.normalize("NFC", name), name


class Walk:
    """A walk through a folder that sees no file twice, and notes in ``listing`` what it cannot see."""

    def __init__(self, root: Path, skip: Path | None = None) -> None:
        try:
            mode = root.stat().st_mode
        except FileNotFoundError as error:
            raise DataError(f"There is no folder {root}: give a folder of pictures") from error
        except OSError as error:
            raise DataError(
                f"{root} cannot be opened ({error.strerror}): give a folder of pictures"
            ) from error
        if not stat.S_ISDIR(mode):
            raise DataError(f"{root} is a file: give a folder of pictures")
        self.listing = Listing(root)
        self._real_root = root.resolve()
        self._skip = _identity(skip) if skip is not None else None
        self._entered = {_identity(root)}

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What a folder holds, sorted by name, without hidden and system entries."""
        try:
            with os.scandir(folder) as found:  # it knows what is a folder, without a look at each entry
                entries = [entry for entry in found if not _is_hidden(entry.name)]
        except OSError as error:
            if folder == self.listing.root:
                raise DataError(f"{folder} cannot be opened ({error.strerror}): allow reading it") from error
            self.listing.left_out.append(Excluded(folder, f"folder cannot be opened ({error.strerror})"))
            return []
        return sorted(entries, key=lambda entry: name_key(entry.name))

    def files(self, folder: Path) -> Iterator[Path]:
        """All files below a folder, in the order of their names."""
        # Not by recursion: folders may be nested deeper than Python's calls.
        open_ones = [(folder, iter(self.entries(folder)))]
        while open_ones:
            place, entries = open_ones[-1]
            entry = next(entries, None)
            if entry is None:
                open_ones.pop()
                continue
            path = place / entry.name
            if not is_folder(entry):
                if not (entry.is_symlink() and self._is_link_inside(path)):
                    yield path
            elif self.may_enter(path):
                open_ones.append((path, iter(self.entries(path))))

    def note_loose(self, file: Path) -> None:
        """Note a file that lies where class folders are."""
        if is_image(file):
            self.listing.left_out.append(Excluded(file, "lies in no class folder"))
        else:
            self.listing.non_images.append(file)

    def may_enter(self, folder: Path) -> bool:
        """Whether a folder is one to look at: not the skipped one, and not seen under another name."""
        identity = _identity(folder)
        # The links first, so that each is named.
        if self._is_link_inside(folder):
            return False
        if identity is None:
            return True  # nobody may look there, which is said when it is tried
        if identity in self._entered or identity == self._skip:
            return False
        self._entered.add(identity)
        return True

    def _is_link_inside(self, path: Path) -> bool:
        """Whether a path is a link to what the walk comes by anyway, or comes from; it is noted then.

        Links to hidden places are followed: git-annex keeps all files in one.
        """
        # Links that lead nowhere are told from the rest when they are opened.
        if not path.is_symlink() or _identity(path) is None:
            return False
        target = path.resolve()
        if target in self._real_root.parents:
            self.listing.left_out.append(Excluded(path, "link to a folder that this one is in"))
            return True
        if not target.is_relative_to(self._real_root):
            return False
        if any(map(_is_hidden, target.relative_to(self._real_root).parts)):
            return False
        self.listing.left_out.append(Excluded(path, "link to a place in the same tree"))
        return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to where nobody may look
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # gone, or a link that leads nowhere
    return status.st_dev, status.st_ino


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def class_name(folder: Path) -> str:
    name = folder.name
    if "\n" in name or "\r" in name or not name.strip(" \t"):
        what = "is blank" if not name.strip(" \t") else "has a line break"
        raise DataError(f"The folder name {name!r} {what}, which a label list cannot hold: rename it")
    return name


def _check_layout(listing: Listing) -> None:
    """Say what is wrong with a tree that cannot be a folder per class."""
    names, root = listing.labels, listing.root
    if not names:
        loose = len(listing.left_out)
        what = f"{plural(loose, 'loose picture')}, but no class folder" if loose else "no class folder"
        raise DataError(f"{root} has {what}: put the pictures of each class into a folder of its own")
    ready_made = {name.lower(): name for name in names if name.lower() in _READY_MADE}
    training = [name for lower, name in ready_made.items() if lower.startswith("train")]
    if training and len(ready_made) > 1:
        test = f" --test-dir {root / ready_made['test']}" if "test" in ready_made else ""
        raise DataError(
            f"{root} is divided into {', '.join(ready_made.values())} already. "
            f"To split its training pictures: hubtune split {root / training[0]}{test}"
        )
    if len(names) == 1:
        classes = _classes_below(root / names[0])
        hint = f": did you mean {classes}?" if classes else "; a classifier needs two"
        raise DataError(f"{root} has only one class folder, {names[0]!r}{hint}")


def _classes_below(folder: Path) -> Path | None:
    """The first folder, downwards through only folders, that holds several."""
    walk = Walk(folder)
    while True:
        below = [entry for entry in walk.entries(folder) if entry.is_dir(follow_symlinks=False)]
        if len(below) != 1:
            return folder if below else None
        folder /= below[0].name
