"""Copies of images in a folder for each predicted class."""

import filecmp
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hubtune.errors import MachineError, writing
from hubtune.inference.prediction import Prediction
from hubtune.text import safe_file_name

_UNKNOWN, _UNREADABLE = "unknown", "unreadable"


def sort_into_folders(
    folder: Path, rows: Iterable[Prediction], labels: Iterable[str], *, link: bool = False
) -> dict[str, int]:
    """Copy each image into the folder of its predicted class; no file is ever overwritten.

    Images that are not of the kind that the model was trained on go into ``unknown``, those that cannot be
    read into ``unreadable``. A file that is there already with the same content is not copied again; another
    one of the same name stays, and the copy gets a number.

    Args:
        folder: holds the folders; it is made if it does not exist.
        rows: predictions for files.
        labels: names of all classes.
        link: whether further names of the files (hard links) are made in place of copies.

    Returns:
        Name of a folder → number of images in it from these rows.

    Raises:
        MachineError: a file cannot be written.
    """
    names = folder_names(labels)
    counts: dict[str, int] = {}
    for row in rows:
        if row.label is None and row.error is not None:
            name = names[_UNREADABLE, None]
        elif row.label is None or row.known is False:
            name = names[_UNKNOWN, None]
        else:
            name = names["", row.label]
        source, target = Path(row.path), folder / name / Path(row.path).name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if not source.is_file():  # which the prediction has reported
                continue
            _place(source, target, link)
        counts[name] = counts.get(name, 0) + 1
    return counts


def folder_names(labels: Iterable[str]) -> dict[tuple[str, str | None], str]:
    """Return the name of each class's folder, and of those for unknown and unreadable images.

    Names are such that every system accepts them, and no two of them are equal, whatever their case.
    """
    names: dict[tuple[str, str | None], str] = {}
    taken: set[str] = set()
    keys: list[tuple[str, str | None]] = [("", label) for label in labels]
    for kind, label in [*keys, (_UNKNOWN, None), (_UNREADABLE, None)]:
        name = safe_file_name(label if label is not None else kind)
        number, candidate = 1, name
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        names[kind, label] = candidate
    return names


def _place(source: Path, target: Path, link: bool) -> None:
    number, place = 1, target
    while place.exists() or place.is_symlink():
        if place.is_file() and filecmp.cmp(source, place, shallow=False):
            return
        number += 1
        place = target.with_name(f"{target.stem}-{number}{target.suffix}")
    if not link:
        with source.open("rb") as content, place.open("xb") as copy:
            shutil.copyfileobj(content, copy)
        shutil.copystat(source, place)
        return
    try:
        os.link(source, place)
    except OSError as error:
        raise MachineError(
            f"{source} cannot have a second name in {place.parent} ({error.strerror}): both must be on one "
            "file system that has hard links; leave --link out to copy"
        ) from error
