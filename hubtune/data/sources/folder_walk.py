"""Walks through folders: each file once, whatever links there are."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hubtune.data.images.verify import is_image
from hubtune.data.listing import (
    Excluded,
    Listing,
    SourceFile,
    is_hidden,
    known_as,
    name_key,
)
from hubtune.errors import DataError


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
                entries = [entry for entry in scanned if not is_hidden(entry.name)]
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
        if any(map(is_hidden, target.relative_to(self._real_root).parts)):
            return False
        self.listing.left_out.append(Excluded(path, "link to a place in the same tree"))
        return True


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
