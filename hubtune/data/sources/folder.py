"""Folders of images: a folder per class, or ``train``, ``val`` and ``test`` with a folder per class each."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from hubtune.data.images.verify import is_image
from hubtune.data.listing import (
    PARTS,
    WORDS,
    Excluded,
    Listing,
    SourceFile,
    describe_classes,
    in_order,
    is_hidden,
    known_as,
    name_key,
)
from hubtune.data.sources.layout import PLAIN, Layout, check_names, find_masks
from hubtune.data.sources.table import TABLE_SUFFIXES
from hubtune.errors import DataError, suggest
from hubtune.text import escaped, first_few, plural


def walk_classes(
    root: Path, layout: Layout = PLAIN, *, as_classes: bool = False, skip: Path | None = None
) -> Listing:
    """List the files of a folder-per-class tree.

    A class is a folder directly below ``root``; its images may lie in folders below it. The folder ``skip``,
    hidden and system files are ignored. Links to files or folders that the walk reaches anyway are left out,
    so cycles of links do no harm. No file is opened, except loose ones without a usual suffix.

    Args:
        layout: folders to pass over.
        as_classes: use also files named as masks, and classes whose names hardly differ.
        skip: a folder that is ignored.

    Raises:
        DataError: if the tree is missing, has fewer than two classes, or classes whose names hardly differ.
    """
    walk = FolderWalk(root, skip)
    listing = walk.listing
    folder_of = {
        label: path for path, label in walk.class_folders(root) if path.name not in layout.passed_over
    }
    listing.labels = in_order(folder_of)
    for label in listing.labels:
        walk.add_files(folder_of[label], label)
    _check_layout(listing)
    listing.remarks += layout.remarks
    if not as_classes:
        check_names(listing.labels, root)
        _leave_out_masks(listing)
    listing.remarks += _nested_classes(listing)
    listing.taken_for = f"a folder per class; {describe_classes(listing)}"
    return listing


def _leave_out_masks(listing: Listing) -> None:
    masks = set(find_masks([file.path for file in listing.files]))
    if masks:
        listing.files = [file for file in listing.files if file.path not in masks]
        listing.left_out += [Excluded(mask, "named as the mask of another picture") for mask in sorted(masks)]
        listing.remarks.append(
            f"{plural(len(masks), 'file')} named as the mask of another picture, such as "
            f"'{escaped(min(masks).name)}', left out; --as-classes uses them."
        )


def _nested_classes(listing: Listing) -> list[str]:
    """Say so if class folders hold only folders, which may have been meant as the classes."""
    below: dict[str, set[str]] = {label: set() for label in listing.labels}
    for file in listing.files:
        parts = file.name.split("/")
        below[file.label].add(parts[1] if len(parts) > 2 else "")
    nested = [label for label, folders in below.items() if len(folders) > 1 and "" not in folders]
    if not nested:
        return []
    inner = first_few(sorted(below[nested[0]]))
    return [f"The folders in {listing.root} are the classes; {nested[0]!r} holds only folders ({inner})."]


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


def walk_divided(root: Path, layout: Layout, *, skip: Path | None = None) -> Listing:
    """List the files of a folder that is divided into training, validation and test folders.

    The class folders of the training part are the classes; another part may lack some, or have no class
    folders; its files are left out then. ``skip`` is ignored.

    Raises:
        DataError: if another part has a class that the training part lacks, or there are fewer than two.
    """
    walk = FolderWalk(root, skip)
    listing = walk.listing
    for entry in walk.entries(root):
        if not is_folder(entry):
            walk.note_loose(root / entry.name)
    listing.remarks += layout.remarks
    shown = {part: known_as(folder, root) for part, folder in layout.parts.items()}
    if layout.passed_over:
        listing.remarks.append(
            f"{root} is divided into {', '.join(shown.values())}; passed over beside them: "
            f"{first_few(list(layout.passed_over))}."
        )
    class_of: dict[str, str] = {}
    for part, folder in layout.parts.items():
        if walk.may_enter(folder):
            _walk_part(walk, folder, part, class_of)
    if len(class_of) < 2:
        what = f"only one class folder, {listing.labels[0]!r}" if class_of else "no class folder"
        raise DataError(f"{layout.parts[PARTS[0]]} has {what}; a classifier needs two.{_table_hint(listing)}")
    listing.labels = in_order(listing.labels)
    listing.sort()
    lists = ", ".join(f"{WORDS[part]} pictures in {name}" for part, name in shown.items())
    listing.taken_for = f"divided already: {lists}; {describe_classes(listing)}"
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


def _check_layout(listing: Listing) -> None:
    """Refuse a tree that cannot be a folder per class."""
    names, root = listing.labels, listing.root
    if not names:
        loose = len(listing.left_out)
        what = f"{plural(loose, 'loose picture')}, but no class folder" if loose else "no class folder"
        raise DataError(
            f"{root} has {what}: put the pictures of each class into a folder of its own."
            f"{_table_hint(listing)}"
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


def _table_hint(listing: Listing) -> str:
    """Return a sentence that names a table beside the pictures, or an empty string."""
    tables = [file for file in listing.non_images if file.suffix.lower() in TABLE_SUFFIXES]
    return f" If {tables[0].name} has the labels: hubtune split {tables[0]}" if tables else ""


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
    if len(unknown) == 1 and part != PARTS[0] and len(listing.files) == listed:
        walk.add_files(folder / unknown[0], "", part)  # one folder that is called as no class: no labels
        unlabelled = listing.files[listed:]
        listing.files = listing.files[:listed]
        listing.left_out += [Excluded(file.path, "its class is not known") for file in unlabelled]
        unknown = []
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
