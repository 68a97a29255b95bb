"""Honest splits: a folder-per-class tree becomes training, validation and test lists.

A picture's place is decided by a hash of the seed and of its name alone, so a split is the same on every
machine and hardly changes when pictures are added. Byte-equal pictures always stay on one side.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from os.path import lexists  # Path.exists() raises where a folder may not be entered
from pathlib import Path
from typing import Any

from hubtune.data.lists import (
    LABEL_LIST,
    PADDLECLAS_VALIDATE_LIST,
    TEST_LIST,
    TRAIN_LIST,
    VALIDATE_LIST,
    encode,
    labels_text,
    list_text,
    relative_to,
)
from hubtune.data.names import class_namer
from hubtune.data.scan import LeftOut, Picture, Scan, counted, name_key, some
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.files import write_atomically

SPLIT_FILE = "split.json"
LIST_FILES = {"train": TRAIN_LIST, "validate": VALIDATE_LIST, "test": TEST_LIST}
_WORDS = {"train": "training", "validate": "validation", "test": "test"}
# Remarks of one kind that are written out in full.
_MOST_REMARKS = 10


@dataclass(frozen=True)
class Amount:
    """How many pictures of a class: a number, or a share of them."""

    count: int = 0
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> "Amount":
        """Read ``20`` (pictures), ``0.2`` or ``20%`` (a share).

        Raises:
            UsageError: if it is none of these.
        """
        if re.fullmatch(r"\s*\d{1,9}\s*", text):
            return cls(count=int(text))
        match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)\s*", text)
        share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
        if share is None or share >= 1:
            raise UsageError(
                f"{text!r} is no amount: write a number of pictures per class (20), or a share (0.2 or 20%)"
            )
        return cls(share=share)

    def of(self, total: int) -> int:
        """The number of pictures out of ``total``, a share rounded to the nearest."""
        return self.count if self.share is None else math.floor(self.share * total + Fraction(1, 2))

    def __bool__(self) -> bool:
        return bool(self.count or self.share)


NOTHING = Amount()


@dataclass
class Split:
    """A tree divided into lists.

    Attributes:
        folders: class folders in the order of their labels.
        labels: display name of each class.
        lists: ``train``, ``validate``, ``test`` → pictures with their labels.
        left_over: class folder → pictures that no list asked for.
        groups: sets of byte-equal pictures, each in one list.
        left_out: files that are in no list, and why.
        remarks: what a person should know, one sentence each.
    """

    folders: list[str]
    labels: list[str]
    lists: dict[str, list[tuple[Picture, int]]] = field(
        default_factory=lambda: {"train": [], "validate": [], "test": []}
    )
    left_over: dict[str, int] = field(default_factory=dict)
    groups: list[list[Picture]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """Class folder → number of pictures in each list, and left over."""
        table = {folder: dict.fromkeys((*self.lists, "left_over"), 0) for folder in self.folders}
        for name, pictures in self.lists.items():
            for _, label in pictures:
                table[self.folders[label]][name] += 1
        for folder, number in self.left_over.items():
            table[folder]["left_over"] = number
        return table


def make_split(
    scan: Scan,
    *,
    validate: Amount,
    test: Amount = NOTHING,
    train: int | None = None,
    seed: int = 0,
    labels: dict[str, str] | None = None,
    test_scan: Scan | None = None,
) -> Split:
    """Divide every class at random, by the seed, into training, validation and test pictures.

    Args:
        scan: the tree.
        validate: validation pictures per class.
        test: test pictures per class.
        train: training pictures per class; ``None`` takes all the rest.
        seed: another seed gives another split.
        labels: class folder → display name, in the order of the labels.
        test_scan: a separate folder of test pictures, in place of ``test``.

    Raises:
        DataError: if no picture of the test folder belongs to a class, or it leaves a class without pictures.
    """
    names = labels or {folder: folder for folder in scan.classes}
    split = Split(list(names), list(names.values()), left_out=list(scan.left_out), remarks=scan.remarks())
    tested = _place_test_folder(split, test_scan) if test_scan is not None else set()
    pictures = _without(split, scan, tested)
    free, bound = _bind_copies(split, pictures)
    wish = _Wish(validate, test, train, seed)
    said = {
        folder: _divide_class(split, label, free[label], bound[label], wish)
        for label, folder in enumerate(names)
    }
    small = {folder: sentence for folder, sentence in said.items() if sentence}
    split.remarks += list(small.values())[:_MOST_REMARKS]
    if len(small) > _MOST_REMARKS:
        split.remarks.append(f"Too small, likewise: {', '.join(map(repr, list(small)[_MOST_REMARKS:]))}.")
    for entries in split.lists.values():
        entries.sort(key=lambda entry: (entry[1], name_key(entry[0].name)))
    return split


def _without(split: Split, scan: Scan, tested: set[str]) -> list[tuple[Picture, int]]:
    """The pictures of the tree with their labels, but for those that the test folder has, too."""
    kept: list[tuple[Picture, int]] = []
    for label, folder in enumerate(split.folders):
        before = len(kept)
        for picture in scan.classes[folder]:
            if picture.sha256 in tested:
                split.left_out.append(LeftOut(picture.path, "the same picture is in the test folder"))
            else:
                kept.append((picture, label))
        if len(kept) == before:
            raise DataError(
                f"Every picture of {scan.root / folder} is in the test folder, too: none is left for training"
            )
    return kept


def _bind_copies(
    split: Split, pictures: list[tuple[Picture, int]]
) -> tuple[dict[int, list[list[Picture]]], Counter[int]]:
    """Find byte-equal pictures, and put those that lie in different classes into the training list.

    On different sides, these would be questions that no classifier can answer right twice.

    Returns:
        Label → groups of equal pictures, mostly of one, that are free to go to any list; label → number of
        pictures that are bound to training.
    """
    copies = defaultdict(list)
    for picture, label in [*split.lists["test"], *pictures]:
        copies[picture.sha256].append((picture, label))
    in_test_folder = {picture.sha256 for picture, _ in split.lists["test"]}
    free: dict[int, list[list[Picture]]] = defaultdict(list)
    bound: Counter[int] = Counter()
    agreeing, conflicts = 0, []
    for sha256, members in copies.items():
        group = [picture for picture, _ in members]
        conflicting = len({label for _, label in members}) > 1
        if len(group) > 1:
            split.groups.append(group)
            agreeing += not conflicting
        if conflicting:
            where = "test" if sha256 in in_test_folder else "training"
            conflicts.append(
                f"The same picture lies in different classes: {some([p.name for p in group])}. "
                f"All are in the {where} list; remove the wrong ones."
            )
        if sha256 in in_test_folder:
            continue
        if conflicting:
            split.lists["train"] += members
            bound.update(label for _, label in members)
        else:
            free[members[0][1]].append(group)
    if agreeing:
        kept = "each stays in one list" if agreeing > 1 else "it stays in one list"
        split.remarks.append(f"{counted(agreeing, 'group')} of byte-equal pictures: {kept}.")
    split.remarks += conflicts[:_MOST_REMARKS]
    if len(conflicts) > _MOST_REMARKS:
        split.remarks.append(
            f"… and {len(conflicts) - _MOST_REMARKS:,} more of these; split.json has all in `groups`."
        )
    return free, bound


@dataclass(frozen=True)
class _Wish:
    """What was asked of every class."""

    validate: Amount
    test: Amount
    train: int | None
    seed: int


def _divide_class(
    split: Split, label: int, groups: list[list[Picture]], bound: int, wish: _Wish
) -> str | None:
    """Divide one class; returns what is to be said if it gives less than was asked."""
    folder = split.folders[label]
    free = sum(map(len, groups))
    total = free + bound
    asked = {"test": wish.test.of(total), "validate": wish.validate.of(total), "train": wish.train or 0}
    given = _fair_share(asked["test"], asked["validate"], free, bound)
    given["train"] = free if wish.train is None else max(0, wish.train - bound)
    got = {"train": bound}
    rest = sorted(groups, key=lambda group: _lot(wish.seed, folder, group[0].name))
    for name, number in given.items():
        taken, rest = _take(rest, number)
        if name == "train" and not bound and not taken and rest:
            # Copies stay together: some pictures too many are better than a class that cannot be learned.
            taken = [min(rest, key=len)]
            rest = [group for group in rest if group is not taken[0]]
        split.lists[name] += [(picture, label) for group in taken for picture in group]
        got[name] = got.get(name, 0) + sum(map(len, taken))
    if rest:
        split.left_over[folder] = sum(map(len, rest))
    missing = [
        f"{asked[name] or 'any'} in the {_WORDS[name]} list"
        for name, wanted in (("train", wish.train), ("validate", wish.validate), ("test", wish.test))
        if got[name] < asked[name] or (wanted and not got[name])
    ]
    if not missing:
        return None
    has_copies = bound or len(groups) < free
    copies = ", byte-equal ones among them," if has_copies and sum(asked.values()) < total else ","
    gives = [f"{got[name]} for {_WORDS[name]}" for name in split.lists if got[name] or name == "train"]
    return (
        f"Class {folder!r} has {counted(total, 'picture')}{copies} too few for {' and '.join(missing)}: "
        f"it gives {', '.join(gives)}."
    )


def _fair_share(test: int, validate: int, free: int, bound: int) -> dict[str, int]:
    """What a class can give: all that was asked while training keeps a picture, else half of it."""
    asked = test + validate
    if asked < free + min(bound, 1):
        return {"test": test, "validate": validate}
    for_both = (free + bound) // 2
    # Validation first: without it no best model can be chosen.
    for_validation = min(validate, math.ceil(for_both * validate / max(1, asked)))
    return {"test": min(test, for_both - for_validation), "validate": for_validation}


def _take(groups: list[list[Picture]], number: int) -> tuple[list[list[Picture]], list[list[Picture]]]:
    """Take groups in order until ``number`` pictures are reached, passing over groups that would not fit."""
    taken, rest, room = [], [], number
    for group in groups:
        if len(group) <= room:
            taken.append(group)
            room -= len(group)
        else:
            rest.append(group)
    return taken, rest


def _lot(seed: int, folder: str, name: str) -> tuple[bytes, str]:
    """A picture's lot. Unicode forms of one name are one (macOS stores another than Linux)."""
    text = unicodedata.normalize("NFC", f"{seed}\0{folder}\0{name}")
    return hashlib.sha256(encode(text)).digest(), name


def _place_test_folder(split: Split, scan: Scan) -> set[str]:
    """Give each picture of the test folder its class, from its folder or its name; returns their sums."""
    split.left_out += scan.left_out
    split.remarks += scan.remarks()
    label_of = class_namer(split.folders, split.labels)
    tested = set()
    for picture in scan.classes[""]:
        label = label_of(picture.name)
        if label is None:
            split.left_out.append(LeftOut(picture.path, "no class has this name"))
        else:
            split.lists["test"].append((picture, label))
            tested.add(picture.sha256)
    if not tested:
        raise DataError(
            f"No picture in {scan.root} can be told to belong to a class: name them after their class "
            f"({split.folders[0]}.jpg, {split.folders[0]}_2.jpg), or put them into folders named so"
        )
    return tested


def write_split(split: Split, folder: Path, options: dict[str, Any], *, force: bool = False) -> list[Path]:
    """Write the list files, the label list and ``split.json``.

    Args:
        split: what to write.
        folder: where; paths in the lists are relative to it.
        options: the request, as it is to stand in ``split.json``.
        force: overwrite lists with other content.

    Returns:
        The files, in the order they were written.

    Raises:
        UsageError: if lists with other content are there; nothing is written then.
        MachineError: if the folder cannot be written to.
    """
    files = {
        folder / LIST_FILES[name]: encode(
            list_text((relative_to(picture.path, folder), label) for picture, label in pictures)
        )
        for name, pictures in split.lists.items()
        if pictures or name == "train"
    }
    files[folder / LABEL_LIST] = encode(labels_text(split.labels))
    # Lists of an earlier split would leak into this one's training pictures.
    stale = [folder / name for name in LIST_FILES.values() if folder / name not in files]
    if folder / VALIDATE_LIST in stale:
        stale.append(folder / PADDLECLAS_VALIDATE_LIST)
    record = folder / SPLIT_FILE
    is_repetition = _holds(folder / TRAIN_LIST, files[folder / TRAIN_LIST])
    other = [path for path, content in files.items() if lexists(path) and not _holds(path, content)]
    other += [path for path in stale if lexists(path)]
    files[record] = _split_json(split, folder, options).encode()
    if lexists(record) and not is_repetition and not _holds(record, files[record]):
        other.append(record)
    if other and not force:
        names = ", ".join(sorted(path.name for path in other))
        raise UsageError(
            f"{folder.resolve()} has {names} with other content already: add --force to replace, "
            "or --out FOLDER to write elsewhere"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
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


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _split_json(split: Split, folder: Path, options: dict[str, Any]) -> str:
    document = {
        "schema_version": 1,
        "seed": options["seed"],
        "options": {name: value for name, value in options.items() if name != "seed"},
        "classes": dict(zip(split.folders, split.labels, strict=True)),
        "counts": split.counts(),
        "groups": [[relative_to(picture.path, folder) for picture in group] for group in split.groups],
        "left_out": [
            {"path": relative_to(entry.path, folder), "reason": entry.reason} for entry in split.left_out
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def read_groups(folder: Path) -> dict[Path, int]:
    """Read which pictures belong together, from the ``split.json`` in a folder.

    Returns:
        The number of its group for each picture that is in one; empty where there is no such file, or none
        that says it.
    """
    try:
        groups = json.loads((folder / SPLIT_FILE).read_bytes())["groups"]
        return {folder / name: number for number, group in enumerate(groups) for name in group}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
