"""Folders of images: a folder per class, or ``train``, ``val`` and ``test`` with a folder per class each."""

import contextlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from hubtune.data.images.verify import is_image
from hubtune.data.listing import PART_OF_WORD, PARTS, Excluded, Listing, SourceFile, known_as, name_key
from hubtune.errors import DataError, suggest
from hubtune.text import first_few, plural

# Files of operating systems: never images, and never worth a remark.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})


def walk_classes(root: Path, *, skip: Path | None = None) -> Listing:
    """List the files of a folder-per-class tree.

    A class is a folder directly below ``root``; its images may lie in folders below it. The folder ``skip``,
    hidden and system files are ignored. Links to files or folders that the walk reaches anyway are left out,
    so cycles of links do no harm. No file is opened, except loose ones without a usual suffix.

    Raises:
        DataError: if the tree is missing, or has fewer than two classes.
    """
    walk = FolderWalk(root, skip)
    listing = walk.listing
    for path, label in walk.class_folders(root):
        listing.labels.append(label)
        walk.add_files(path, label)
    _check_layout(listing)
    listing.remarks += (
        f"The folder {name!r} counts as a class; if it holds test pictures of the others: "
        f"--test-dir {root / name}."
        for name in listing.labels
        if PART_OF_WORD.get(name.lower(), PARTS[0]) != PARTS[0]
    )
    return listing


def walk_files(root: Path) -> Listing:
    """List all files below a folder in the one class ``""``; a DataError if it cannot be opened."""
    walk = FolderWalk(root)
    walk.listing.labels = [""]
    walk.add_files(root, "")
    return walk.listing


def walk_images(root: Path) -> Listing:
    """List the images below a folder, as :func:`walk_files`; other files are ``non_images``."""
    listing = walk_files(root)
    checked = [(file, is_image(file.path)) for file in listing.files]
    listing.files = [file for file, usable in checked if usable]
    listing.non_images += [file.path for file, usable in checked if not usable]
    return listing


def is_divided(folder: Path) -> bool:
    """Whether a folder holds a folder of training images, and one of validation or test images."""
    parts = _part_folders(folder)
    return PARTS[0] in parts and len(parts) > 1


def walk_divided(root: Path, *, skip: Path | None = None) -> Listing:
    """List the files of a folder that is divided into ``train``, ``val`` and ``test``.

    The class folders of the training part are the classes; another part may lack some. ``skip`` is ignored.

    Raises:
        DataError: if another part has a class that the training part lacks, two folders stand for the same
            list, or there are fewer than two classes.
    """
    parts = _part_folders(root)
    for names in parts.values():
        if len(names) > 1:
            raise DataError(
                f"{root} holds both {' and '.join(sorted(names))}: which of them counts? Move the other away"
            )
    walk = FolderWalk(root, skip)
    listing = walk.listing
    others = []
    for entry in walk.entries(root):
        if not is_folder(entry):
            walk.note_loose(root / entry.name)
        elif [entry.name] not in parts.values():
            others.append(entry.name)
    if others:
        names_of_parts = ", ".join(parts[part][0] for part in PARTS if part in parts)
        listing.remarks.append(
            f"{root} is divided into {names_of_parts}; passed over beside them: {first_few(others)}."
        )
    class_of: dict[str, str] = {}
    for part in PARTS:
        for name in parts.get(part, []):
            if walk.may_enter(root / name):
                _walk_part(walk, root / name, part, class_of)
    if len(class_of) < 2:
        what = f"only one class folder, {listing.labels[0]!r}" if class_of else "no class folder"
        raise DataError(f"{root / parts[PARTS[0]][0]} has {what}; a classifier needs two")
    listing.sort()
    return listing


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to a place without access
        return False


class FolderWalk:
    """A walk through a folder that visits no file twice; ``listing`` is what it finds."""

    def __init__(self, root: Path, skip: Path | None = None) -> None:
        """Start a walk; raises DataError if ``root`` is not a folder."""
        try:
            mode = root.stat().st_mode
        except FileNotFoundError as error:
            raise DataError(f"There is no folder {root}: give a folder of pictures") from error
        except OSError as error:
            reason = error.strerror
            raise DataError(f"{root} cannot be opened ({reason}): give a folder of pictures") from error
        if not stat.S_ISDIR(mode):
            raise DataError(f"{root} is a file: give a folder of pictures")
        self.listing = Listing(root)
        self._real_root = root.resolve()
        self._skip = _identity(skip) if skip is not None else None
        self._entered = {_identity(root)}

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return the entries of a folder, sorted by name, without hidden and system entries."""
        try:
            # A directory entry knows whether it is a folder, so no file needs a system call of its own.
            with os.scandir(folder) as scanned:
                entries = [entry for entry in scanned if not _is_hidden(entry.name)]
        except OSError as error:
            if folder == self.listing.root:
                raise DataError(f"{folder} cannot be opened ({error.strerror}): allow reading it") from error
            self.listing.left_out.append(Excluded(folder, f"folder cannot be opened ({error.strerror})"))
            return []
        return sorted(entries, key=lambda entry: name_key(entry.name))

    def class_folders(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Yield the class folders in a folder with their names; note the loose files beside them."""
        for entry in self.entries(folder):
            path = folder / entry.name
            if not is_folder(entry):
                self.note_loose(path)
            elif self.may_enter(path):
                yield path, _class_name(path)

    def add_files(self, folder: Path, label: str, part: str | None = None) -> None:
        """List all files below a folder, in the order of their names."""
        # Without recursion: folders may be nested deeper than Python's call stack.
        stack = [(folder, iter(self.entries(folder)))]
        while stack:
            place, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                stack.pop()
                continue
            path = place / entry.name
            if is_folder(entry):
                if self.may_enter(path):
                    stack.append((path, iter(self.entries(path))))
            elif not (entry.is_symlink() and self._is_link_inside(path)):
                name = known_as(path, self.listing.root)
                self.listing.files.append(SourceFile(path, name, label, part=part))

    def note_loose(self, file: Path) -> None:
        """Note a file that lies beside class folders."""
        if is_image(file):
            self.listing.left_out.append(Excluded(file, "lies in no class folder"))
        else:
            self.listing.non_images.append(file)

    def may_enter(self, folder: Path) -> bool:
        """Whether a folder is to be visited: not the skipped one, and not visited under another name."""
        identity = _identity(folder)
        # Links first, so that each of them is noted.
        if self._is_link_inside(folder):
            return False
        if identity is None:
            return True  # without access: opening it notes the reason
        if identity in self._entered or identity == self._skip:
            return False
        self._entered.add(identity)
        return True

    def _is_link_inside(self, path: Path) -> bool:
        """Whether a path is a link to a place that the walk visits anyway; it is noted then."""
        # A broken link gets its reason when it is opened.
        if not path.is_symlink() or _identity(path) is None:
            return False
        target = path.resolve()
        if target in self._real_root.parents:
            self.listing.left_out.append(Excluded(path, "link to a folder that this one is in"))
            return True
        if not target.is_relative_to(self._real_root):
            return False
        # Links to hidden places are followed: git-annex keeps all files in one.
        if any(map(_is_hidden, target.relative_to(self._real_root).parts)):
            return False
        self.listing.left_out.append(Excluded(path, "link to a place in the same tree"))
        return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # removed, or a broken link
    return status.st_dev, status.st_ino


def _class_name(folder: Path) -> str:
    name = folder.name
    blank = not name.strip(" \t")
    if blank or "\n" in name or "\r" in name:
        what = "is blank" if blank else "has a line break"
        raise DataError(f"The folder name {name!r} {what}, which a label list cannot hold: rename it")
    return name


def _check_layout(listing: Listing) -> None:
    """Refuse a tree that cannot be a folder per class."""
    names, root = listing.labels, listing.root
    if not names:
        loose = len(listing.left_out)
        what = f"{plural(loose, 'loose picture')}, but no class folder" if loose else "no class folder"
        raise DataError(f"{root} has {what}: put the pictures of each class into a folder of its own")
    parts = {name.lower(): name for name in names if name.lower() in PART_OF_WORD}
    training = [name for lower, name in parts.items() if PART_OF_WORD[lower] == PARTS[0]]
    if training and len(parts) > 1:
        test = f" --test-dir {root / parts['test']}" if "test" in parts else ""
        raise DataError(
            f"{root} is divided into {', '.join(parts.values())} already. "
            f"To split its training pictures: hubtune split {root / training[0]}{test}"
        )
    if len(names) == 1:
        classes = _classes_below(root / names[0])
        hint = f": did you mean {classes}?" if classes else "; a classifier needs two"
        raise DataError(f"{root} has only one class folder, {names[0]!r}{hint}")


def _classes_below(folder: Path) -> Path | None:
    """Return the first folder, downwards through single folders, that holds several."""
    walk = FolderWalk(folder)
    while True:
        below = [entry for entry in walk.entries(folder) if entry.is_dir(follow_symlinks=False)]
        if len(below) != 1:
            return folder if below else None
        folder /= below[0].name


def _part_folders(folder: Path) -> dict[str, list[str]]:
    """Return the names of the folders of each part."""
    parts: dict[str, list[str]] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            part = PART_OF_WORD.get(entry.name.lower())
            if part and is_folder(entry):
                parts.setdefault(part, []).append(entry.name)
    return parts


def _walk_part(walk: FolderWalk, folder: Path, part: str, class_of: dict[str, str]) -> None:
    """List one part; the training part fills ``class_of``, the NFC form of a name → its class."""
    listing = walk.listing
    excluded, listed = len(listing.left_out), len(listing.files)
    unknown = []
    for path, name in walk.class_folders(folder):
        form = unicodedata.normalize("NFC", name)
        if part == PARTS[0]:
            class_of[form] = name
            listing.labels.append(name)
        if form in class_of:
            walk.add_files(path, class_of[form], part)
        else:
            unknown.append(name)
    if unknown:
        more = f" The same is true of {first_few(unknown[1:])}." if unknown[1:] else ""
        raise DataError(
            f"{folder / unknown[0]} is of no class of the training folder: rename it, or add training "
            f"pictures of it.{suggest(unknown[0], class_of.values())}{more}"
        )
    loose = len(listing.left_out) - excluded
    if loose and len(listing.files) == listed:
        listing.remarks.append(
            f"{folder} has no class folders, so nobody knows what its {plural(loose, 'picture')} should be; "
            f"if they are called after their classes: --test-dir {folder}."
        )
