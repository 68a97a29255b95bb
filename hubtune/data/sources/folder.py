"""Folders of images: a folder per class, or ``train``, ``val`` and ``test`` with a folder per class each."""

import unicodedata
from dataclasses import replace
from pathlib import Path

from hubtune.data.listing import (
    PARTS,
    WORDS,
    Excluded,
    Listing,
    SourceFile,
    describe_classes,
    in_order,
    known_as,
)
from hubtune.data.sources.folder_walk import FolderWalk, is_folder
from hubtune.data.sources.layout import (
    PLAIN,
    SEPARATE_CURE,
    Layout,
    check_names,
    read_part_name,
)
from hubtune.data.sources.masks import find_masks, find_versions
from hubtune.data.sources.table import TABLE_SUFFIXES
from hubtune.errors import DataError, suggest
from hubtune.text import escaped, first_few, plural


def walk_classes(
    root: Path,
    layout: Layout = PLAIN,
    *,
    as_classes: bool = False,
    least_classes: int = 2,
    skip: Path | None = None,
) -> Listing:
    """List the files of a folder-per-class tree.

    A class is a folder directly below ``root``; its images may lie in folders below it. The folder ``skip``,
    hidden and system files are ignored. Links to files or folders that the walk reaches anyway are left out,
    so cycles of links do no harm. No file is opened, except loose ones without a usual suffix.

    Args:
        layout: folders to pass over.
        as_classes: use also files named as masks, and classes whose names hardly differ.
        least_classes: 1 or 2.
        skip: a folder that is ignored.

    Raises:
        DataError: if the tree is missing, has too few classes, or classes whose names hardly differ.
    """
    walk = FolderWalk(root, skip)
    listing = walk.listing
    folder_of = {
        label: path for path, label in walk.class_folders(root) if path.name not in layout.passed_over
    }
    listing.labels = in_order(folder_of)
    for label in listing.labels:
        walk.add_files(folder_of[label], label)
    _check_layout(listing, least_classes)
    listing.remarks += layout.remarks
    if not as_classes:
        check_names(listing.labels, root, f"put their pictures into one folder, {SEPARATE_CURE}")
        _check_masks(listing, "--as-classes uses them")
    parts = {} if as_classes else _parts_in_classes(listing)
    if parts:
        listing.files = [replace(file, part=parts[_inner_folder(file)]) for file in listing.files]
        by_part = sorted(parts.items(), key=lambda item: PARTS.index(item[1]))
        lists = ", ".join(f"{WORDS[part]} pictures in {name}" for name, part in by_part)
        listing.taken_for = f"a folder per class, each divided already: {lists}; {describe_classes(listing)}"
    else:
        listing.remarks += _nested_classes(listing)
        listing.taken_for = f"a folder per class; {describe_classes(listing)}"
    return listing


def _inner_folder(file: SourceFile) -> str:
    names = file.name.split("/")
    return names[1] if len(names) > 2 else ""


def _parts_in_classes(listing: Listing) -> dict[str, str]:
    """Return folder → list if the folders in all classes are called as lists: ``cat/train``, ``cat/test``."""
    folders = sorted({_inner_folder(file) for file in listing.files})
    named = {folder: found.part for folder in folders if (found := read_part_name(folder)) is not None}
    is_division = len(named) == len(folders) == len({*named.values()}) > 1 and PARTS[0] in named.values()
    return named if is_division else {}


def _check_masks(listing: Listing, cure: str) -> None:
    masks = set(find_masks([file.path for file in listing.files], listing.root))
    if masks:
        listing.files = [file for file in listing.files if file.path not in masks]
        listing.left_out += [Excluded(mask, "named as the mask of another picture") for mask in sorted(masks)]
        listing.remarks.append(
            f"{plural(len(masks), 'file')} named as the mask of another picture, such as "
            f"'{escaped(min(masks).name)}', left out; {cure}."
        )
    if versions := find_versions([file.path for file in listing.files]):
        count, name, other = versions
        listing.remarks.append(
            f"{count:,} pictures are named as others with something added, such as '{escaped(name)}' beside "
            f"'{escaped(other)}': if they are masks or copies of them, move them away."
        )


def _nested_classes(listing: Listing) -> list[str]:
    """Say so if class folders hold only folders, which may have been meant as the classes."""
    below: dict[str, set[str]] = {label: set() for label in listing.labels}
    for file in listing.files:
        below[file.label].add(_inner_folder(file))
    nested = [label for label, folders in below.items() if len(folders) > 1 and "" not in folders]
    if not nested:
        return []
    return [
        f"The folders in {listing.root} are the classes; {nested[0]!r} holds only folders "
        f"({first_few(sorted(below[nested[0]]))})."
    ]


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
    training = layout.parts[PARTS[0]]
    for part, folder in layout.parts.items():
        if walk.may_enter(folder):
            _walk_part(walk, folder, part, class_of, training)
    if len(class_of) < 2:
        what = f"only one class folder, {listing.labels[0]!r}" if class_of else "no class folder"
        raise DataError(f"{training} has {what}; a classifier needs two.{_table_hint(listing)}")
    check_names(listing.labels, training, f"put their pictures into one folder in {training.name}")
    _check_masks(listing, "if they are not, rename them")
    listing.labels = in_order(listing.labels)
    listing.sort()
    used = {file.part for file in listing.files}
    lists = ", ".join(f"{WORDS[part]} pictures in {name}" for part, name in shown.items() if part in used)
    listing.taken_for = f"divided already: {lists}; {describe_classes(listing)}"
    return listing


def _check_layout(listing: Listing, least_classes: int) -> None:
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
        if classes is None and least_classes == 1:
            return
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


def _walk_part(walk: FolderWalk, folder: Path, part: str, class_of: dict[str, str], training: Path) -> None:
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
        texts = [file.name for file in listing.non_images if file.parent == folder]
        hint = (
            f"{texts[0]} may say it"
            if texts
            else f"if they are called after their classes: hubtune split {training} --test-dir {folder}"
        )
        listing.remarks.append(
            f"{folder} has no class folders, so nobody knows what its {plural(loose, 'picture')} should be; "
            f"{hint}."
        )
