"""Folders that are divided into ``train``, ``val`` and ``test`` already, each with a folder a class."""

import os
import unicodedata
from pathlib import Path

from hubtune.data.listing import PARTS, Listing, SourceFile
from hubtune.data.scan.scanner import Walk, class_name, is_folder, name_key
from hubtune.data.sources.table import PART_WORDS
from hubtune.errors import DataError, suggest
from hubtune.text import first_few, plural


def is_divided(folder: Path) -> bool:
    """Whether a folder holds one for training, and one for validation or the test."""
    parts = _parts_in(folder)
    return "train" in parts and len(parts) > 1


def _parts_in(folder: Path) -> dict[str, list[str]]:
    """Part → names of the folders that are for it."""
    found: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                part = PART_WORDS.get(entry.name.lower())
                if part and is_folder(entry):
                    found.setdefault(part, []).append(entry.name)
    except OSError:
        return {}
    return found


def walk_divided(root: Path, *, skip: Path | None = None) -> Listing:
    """List the files of a folder divided into lists; none is opened, but loose ones with unusual names.

    The class folders of the training part are the classes. Another part may lack some of them.

    Args:
        root: the folder.
        skip: a folder inside it that is not looked at.

    Raises:
        DataError: another part has a class that the training part lacks, two folders are for the same list,
            or there are fewer than two classes.
    """
    parts = _parts_in(root)
    for names in parts.values():
        if len(names) > 1:
            raise DataError(
                f"{root} holds both {' and '.join(sorted(names))}: which of them counts? Move the other away"
            )
    walk = Walk(root, skip)
    listing = walk.listing
    others = []
    for entry in walk.entries(root):
        if not is_folder(entry):
            walk.note_loose(root / entry.name)
        elif [entry.name] not in parts.values():
            others.append(entry.name)
    if others:
        said = ", ".join(parts[part][0] for part in PARTS if part in parts)
        listing.remarks.append(
            f"{root} is divided into {said}; passed over beside them: {first_few(others)}."
        )
    known: dict[str, str] = {}
    for part in PARTS:
        for name in parts.get(part, []):
            if walk.may_enter(root / name):
                _walk_part(walk, root / name, part, known)
    if len(known) < 2:
        what = f"only one class folder, {listing.labels[0]!r}" if known else "no class folder"
        raise DataError(f"{root / parts[PARTS[0]][0]} has {what}; a classifier needs two")
    numbers = {label: number for number, label in enumerate(listing.labels)}
    listing.files.sort(key=lambda file: (numbers[file.label], name_key(file.name)))
    return listing


def _walk_part(walk: Walk, folder: Path, part: str, known: dict[str, str]) -> None:
    """List one part; ``known`` has the classes of the training part by their names in one Unicode form."""
    listing = walk.listing
    before, files_before = len(listing.left_out), len(listing.files)
    unknown = []
    for entry in walk.entries(folder):
        path = folder / entry.name
        if not is_folder(entry):
            walk.note_loose(path)
        elif walk.may_enter(path):
            label = class_name(path)
            form = unicodedata.normalize("NFC", label)
            if part == PARTS[0]:
                known[form] = label
                listing.labels.append(label)
            if form not in known:
                unknown.append(label)
                continue
            listing.files += (
                SourceFile(file, file.relative_to(listing.root).as_posix(), known[form], part=part)
                for file in walk.files(path)
            )
    if unknown:
        more = f" The same holds for {first_few(unknown[1:])}." if unknown[1:] else ""
        raise DataError(
            f"{folder / unknown[0]} is of no class of the training folder: rename it, or add training "
            f"pictures of it.{suggest(unknown[0], known.values())}{more}"
        )
    loose = len(listing.left_out) - before
    if loose and len(listing.files) == files_before:
        listing.remarks.append(
            f"{folder} has no class folders, so nobody knows what its {plural(loose, 'picture')} should be; "
            f"if they are called after their classes: --test-dir {folder}."
        )
