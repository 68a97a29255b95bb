"""A split, and its files: the lists, the label list, and ``split.json``."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, takewhile
from os.path import lexists, normpath  # Path.exists() raises in a folder without access
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from hubtune.data.bucket_lists import image_root, mirrored_from
from hubtune.data.dedup.groups import GROUP_KINDS
from hubtune.data.label_names import labels_text
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import (
    LABEL_LIST,
    PADDLECLAS_VALIDATE_LIST,
    SPLIT_FILE,
    TEST_LIST,
    TRAIN_LIST,
    VALIDATE_LIST,
    encode,
    label_rows_text,
    list_text,
    read_split_record,
    relative_to,
)
from hubtune.data.listing import PARTS, WORDS, Excluded, ImageEntry
from hubtune.data.splits.leakage import Leak
from hubtune.data.splits.split_view import ListedClass, describe_counts, describe_left_out
from hubtune.errors import MachineError, UsageError
from hubtune.notebook.html import document, show_safely
from hubtune.storage.address import check_path
from hubtune.storage.atomic import write_atomically
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular

# Copies that are reported with each leak: a placeholder in 10,000 places would make a hundred million lines.
_MOST_MATES = 100
LIST_FILES = {"train": TRAIN_LIST, "validate": VALIDATE_LIST, "test": TEST_LIST}


@dataclass(repr=False)
class Split:
    """Images divided into lists.

    Attributes:
        folders: class folders in the order of their labels; of multi-label data, the sets of labels as the
            source calls them.
        labels: display name of each class, or set of labels.
        lists: ``train``, ``validate``, ``test`` → images, sorted by label and name.
        left_over: class folder → number of images that no list asked for.
        groups: images that stay in one list, at least two each; only a source that is divided already may
            have a group in several lists.
        group_kinds: the loosest relation in each group: ``equal``, ``near``, ``burst`` or ``given``.
        conflicts: copies of one image that lie in different classes.
        leaks: images in another list than their copies, where the source has put them.
        random_leaks: for each list but training, the expected number of its images with a group mate in
            training, if a random split of the same sizes had been made.
        left_out: files that are in no list, and why.
        non_images: files that are not images.
        remarks: what a person should know, one sentence each.
        options: the request as it is recorded in ``split.json``.
        taken_for: what the source was taken for, as a part of a sentence.
        label_sets: the labels of multi-label data; ``None`` for one class per image.
    """

    folders: list[str]
    labels: list[str]
    lists: dict[str, list[ImageEntry]] = field(default_factory=lambda: {name: [] for name in PARTS})
    left_over: dict[str, int] = field(default_factory=dict)
    groups: list[list[ImageEntry]] = field(default_factory=list)
    group_kinds: list[str] = field(default_factory=list)
    conflicts: list[list[ImageEntry]] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    random_leaks: dict[str, float] = field(default_factory=dict)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=lambda: {"seed": 0})
    taken_for: str = ""
    label_sets: LabelSets | None = None

    def __repr__(self) -> str:
        """Sizes only: a notebook would show every image."""
        return f"Split({', '.join(f'{name}: {len(images):,}' for name, images in self.lists.items())})"

    def _repr_html_(self) -> str | None:
        """Show the numbers and a few images of each class in a notebook."""
        return show_safely(
            lambda: document(*self._describe_counts(), *describe_left_out(self.left_out, self.remarks))
        )

    def _describe_counts(self) -> list[Markup]:
        totals = {name: n for name, n in self.image_counts().items() if n or name == "train"}
        without = [self.counts_without_label()[name] for name in totals]
        paths: dict[int, list[Path]] = {}
        for image in chain.from_iterable(self.lists.values()):
            paths.setdefault(image.label, []).append(image.path)
        # The labels of images, which are classes or sets of labels, that a row is of.
        if self.label_sets is None:
            own = [[number] for number in range(len(self.folders))]
        else:
            own = [np.flatnonzero(column).tolist() for column in self.label_sets.matrix.T]
        names = self.labels if self.label_sets is None else self.label_sets.labels
        classes = [
            ListedClass(
                name,
                [numbers[part] for part in totals],
                [path for number in labels for path in paths.get(number, [])],
            )
            for name, numbers, labels in zip(names, self.counts().values(), own, strict=True)
        ]
        return describe_counts("class" if self.label_sets is None else "label", classes, totals, without)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class folder → number of images in each list, and left over.

        Of multi-label data: label → number of images that have it.
        """
        table = self._counts_of_folders()
        if self.label_sets is None:
            return table
        amounts = np.array([[*row.values()] for row in table.values()], np.int64).reshape(len(table), -1)
        names = (*self.lists, "left_over")
        return {
            label: dict(zip(names, row, strict=True))
            for label, row in zip(
                self.label_sets.labels, (self.label_sets.matrix.T @ amounts).tolist(), strict=True
            )
        }

    def image_counts(self) -> dict[str, int]:
        """Return the number of images in each list, and left over."""
        lists = {name: len(images) for name, images in self.lists.items()}
        return {**lists, "left_over": sum(self.left_over.values())}

    def counts_without_label(self) -> dict[str, int]:
        """Return the number of images of multi-label data without any label, by list, and left over."""
        number_of = {} if self.label_sets is None else self.label_sets.number_of
        none = dict.fromkeys((*self.lists, "left_over"), 0)
        return none if () not in number_of else [*self._counts_of_folders().values()][number_of[()]]

    def _counts_of_folders(self) -> dict[str, dict[str, int]]:
        table = {folder: dict.fromkeys((*self.lists, "left_over"), 0) for folder in self.folders}
        for name, images in self.lists.items():
            for image in images:
                table[self.folders[image.label]][name] += 1
        for folder, number in self.left_over.items():
            table[folder]["left_over"] = number
        return table

    def without_leaks(self) -> "Split":
        """Return the split without the training and validation images that leak into later lists."""
        # The leaks of a group share their mates; of a placeholder for missing images, there are thousands.
        distinct = {(leak.part, leak.beside, id(leak.mates)): leak for leak in self.leaks}.values()
        beside = {mate.path: leak.part for leak in distinct for mate in leak.mates}
        # By list, too: a file that is in both lists is removed from the earlier one only.
        mates = {(leak.beside, mate.path) for leak in distinct for mate in leak.mates}
        lists, left_out = {}, [*self.left_out]
        for name, images in self.lists.items():
            lists[name] = [image for image in images if (name, image.path) not in mates]
            left_out += [
                Excluded(image.path, f"a copy of it is in the {WORDS[beside[image.path]]} list")
                for image in images
                if (name, image.path) in mates
            ]
        return replace(self, lists=lists, left_out=left_out, leaks=[])

    def write(self, folder: str | os.PathLike[str], *, force: bool = False) -> list[Path]:
        """Write the list files, the label list and ``split.json``, as ``hubtune split`` does; return them.

        Args:
            folder: where; it is made if it is missing. Paths in the lists are relative to it.
            force: replace lists with other content.

        Raises:
            UsageError: if lists with other content exist, or it is an address; nothing is written then.
            MachineError: if the folder cannot be written.
        """
        check_path(folder, "the folder for lists")
        return write_split(self, Path(folder), self.options, force=force)

    def as_dict(self, folds: Sequence["Split"] = ()) -> dict[str, Any]:
        """Return the split as ``hubtune split --json`` prints it, with the folds that it was divided into."""
        kinds = Counter(self.group_kinds)
        return {
            **_class_record(self),
            **({"folds": [fold.counts() for fold in folds]} if folds else {}),
            "groups": {**{kind: kinds[kind] for kind in GROUP_KINDS}, "pictures": sum(map(len, self.groups))},
            "conflicts": [[str(image.path) for image in group] for group in self.conflicts],
            "leaks": [
                {
                    "path": str(leak.image.path),
                    "list": leak.part,
                    "in": leak.beside,
                    "kind": leak.kind,
                    "copies": [str(mate.path) for mate in leak.mates[:_MOST_MATES]],
                }
                for leak in self.leaks
            ],
            "random_split_leaks": {name: round(number, 2) for name, number in self.random_leaks.items()},
            "left_out": [{"path": str(entry.path), "reason": entry.reason} for entry in self.left_out],
            "strays": [str(path) for path in self.non_images],
            "remarks": self.remarks,
            "taken_for": self.taken_for,
        }


def _class_record(split: Split) -> dict[str, Any]:
    """Return the classes of a split, or its labels, and their counts, for ``split.json``."""
    counts = split.counts()
    if split.label_sets is None:
        return {"classes": dict(zip(split.folders, split.labels, strict=True)), "counts": counts}
    labels = split.label_sets.labels
    return {
        "multi_label": True,
        "classes": dict(zip(labels, labels, strict=True)),
        "counts": counts,
        "images": split.image_counts(),
    }


def _rows_of(split: Split, name: str, written: Callable[[Path], str]) -> str:
    """Return the content of a list file."""
    images = split.lists[name]
    if split.label_sets is None:
        return list_text((written(image.path), image.label) for image in images)
    values = [",".join(row) for row in split.label_sets.matrix.astype(int).astype(str).tolist()]
    return label_rows_text((written(image.path), values[image.label]) for image in images)


def fold_name(number: int) -> str:
    """Return the name of a fold's folder, by its number from 1."""
    return f"fold-{number}"


def write_split(split: Split, folder: Path, options: dict[str, Any], *, force: bool = False) -> list[Path]:
    """Write a split as :meth:`Split.write`, with other options in ``split.json``."""
    return _write({folder: split}, [], folder, options, force=force)


def write_folds(
    folds: Sequence[Split], folder: Path, options: dict[str, Any], *, force: bool = False
) -> list[Path]:
    """Write folds for cross-validation as :func:`write_split`, into ``fold-1``, ``fold-2``, … of a folder."""
    splits = {folder / fold_name(number): split for number, split in enumerate(folds, 1)}
    # Folds of an earlier division into more of them are removed.
    others = takewhile(Path.is_dir, (folder / fold_name(number) for number in count(len(folds) + 1)))
    stale = [other / name for other in others for name in (*LIST_FILES.values(), LABEL_LIST, SPLIT_FILE)]
    return _write(splits, stale, folder, options, force=force)


def read_groups(folder: Path) -> dict[Path, int]:
    """Read path → number of its group from the ``split.json`` in a folder; empty without a readable file."""
    try:
        groups = read_split_record(folder)["groups"]
        root = image_root(folder)
        return {root / name: number for number, group in enumerate(groups) for name in group}
    except (LookupError, TypeError):
        return {}


def read_unreadable(folder: Path) -> list[Excluded]:
    """Read the unreadable images from the ``split.json`` in a folder; none without a readable file."""
    try:
        return [
            Excluded(
                Path(normpath(image_root(folder) / entry["path"])), str(entry["reason"]), unreadable=True
            )
            for entry in read_split_record(folder)["left_out"]
            if entry.get("unreadable")
        ]
    except (LookupError, TypeError, AttributeError):
        return []


def _write(
    splits: Mapping[Path, Split], stale: list[Path], folder: Path, options: dict[str, Any], *, force: bool
) -> list[Path]:
    files: dict[Path, bytes] = {}
    other: list[Path] = []
    for place, split in splits.items():
        own, replaced = _files_of(split, place, options)
        files |= own
        other += replaced
        # Lists of an earlier split would leak into the training images of this one.
        stale += [place / name for name in LIST_FILES.values() if place / name not in own]
        if place / VALIDATE_LIST not in own:
            stale.append(place / PADDLECLAS_VALIDATE_LIST)
    other += filter(lexists, stale)
    if other and not force:
        names = ", ".join(sorted(path.relative_to(folder).as_posix() for path in other))
        raise UsageError(
            f"{folder.resolve()} has {names} with other content already: add --force to replace, "
            "or --out FOLDER to write elsewhere"
        )
    try:
        for place in splits:
            place.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        for path, data in files.items():
            write_atomically(path, data)
    except OSError as error:
        raise MachineError(
            f"The lists cannot be written to {folder.resolve()} ({error.strerror}): "
            "choose another folder with --out FOLDER"
        ) from error
    return list(files)


def _files_of(split: Split, folder: Path, options: dict[str, Any]) -> tuple[dict[Path, bytes], list[Path]]:
    # Keys of a bucket mean the same on every machine, unlike the place of this one's cache.
    source = mirrored_from(image.path for images in split.lists.values() for image in images)
    written = _relative_to(folder if source is None else source.folder)
    labels = split.labels if split.label_sets is None else split.label_sets.labels
    files = {
        folder / LIST_FILES[name]: encode(_rows_of(split, name, written))
        for name, images in split.lists.items()
        if images or name == "train"
    }
    files[folder / LABEL_LIST] = encode(labels_text(labels))
    other = [path for path, content in files.items() if lexists(path) and not _holds(path, content)]
    # The same lists, made by another request, may get another split.json.
    is_repetition = _holds(folder / TRAIN_LIST, files[folder / TRAIN_LIST])
    record = folder / SPLIT_FILE
    place = None if source is None else source.address
    files[record] = _split_json(split, written, options, place).encode()
    if lexists(record) and not is_repetition and not _holds(record, files[record]):
        other.append(record)
    return files, other


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path, MOST_LIST_BYTES) == content
    except OSError:
        return False


def _relative_to(folder: Path) -> Callable[[Path], str]:
    """Return ``relative_to`` of list files for a million paths: it follows links once a folder."""
    known: dict[str, str] = {}

    def written(path: Path) -> str:
        start, name = os.path.split(path)
        if start not in known:
            known[start] = relative_to(Path(start, "_"), folder).removesuffix("_")
        return known[start] + name

    return written


def _split_json(
    split: Split, written: Callable[[Path], str], options: dict[str, Any], bucket: str | None
) -> str:
    document = {
        "schema_version": 1,
        "seed": options["seed"],
        "options": {name: value for name, value in options.items() if name != "seed"},
        **({} if bucket is None else {"bucket": bucket}),
        **_class_record(split),
        "groups": [[written(image.path) for image in group] for group in split.groups],
        "group_kinds": split.group_kinds,
        "conflicts": [[written(image.path) for image in group] for group in split.conflicts],
        "random_split_leaks": {name: round(number, 2) for name, number in split.random_leaks.items()},
        "left_out": [
            {"path": written(entry.path), "reason": entry.reason}
            | ({"unreadable": True} if entry.unreadable else {})
            for entry in split.left_out
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"
