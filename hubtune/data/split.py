"""Honest splits: a folder-per-class tree becomes training, validation and test lists.

A picture's place is decided by a hash of the seed and of its name alone, so a split is the same on every
machine and hardly changes when pictures are added. Byte-equal pictures always stay on one side.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from hubtune.data.lists import (
    LABEL_LIST,
    TEST_LIST,
    TRAIN_LIST,
    VALIDATE_LIST,
    encode,
    labels_text,
    list_text,
    relative_to,
)
from hubtune.data.scan import LeftOut, Picture, Scan
from hubtune.errors import DataError, UsageError, suggest
from hubtune.files import write_atomically

SPLIT_FILE = "split.json"
LIST_FILES = {"train": TRAIN_LIST, "validate": VALIDATE_LIST, "test": TEST_LIST}


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
        text = text.strip()
        if re.fullmatch(r"\d{1,9}", text):
            return cls(count=int(text))
        match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})(%?)", text)
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
        groups: sets of byte-equal pictures.
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
        DataError: if a picture of the test folder belongs to no class that can be told from its name.
    """
    folders = list(labels) if labels else list(scan.classes)
    split = Split(
        folders, [labels[name] for name in folders] if labels else folders, left_out=list(scan.left_out)
    )
    tested = _place_test_folder(split, test_scan) if test_scan else set()
    copies = defaultdict(list)
    for folder in folders:
        for picture in scan.classes[folder]:
            if picture.sha256 in tested:
                split.left_out.append(LeftOut(picture.path, "the same picture is in the test folder"))
            else:
                copies[picture.sha256].append((picture, folder))
    groups: dict[str, list[list[Picture]]] = {folder: [] for folder in folders}
    bound = dict.fromkeys(folders, 0)
    for members in copies.values():
        if len(members) > 1:
            split.groups.append([picture for picture, _ in members])
        if len({folder for _, folder in members}) == 1:
            groups[members[0][1]].append([picture for picture, _ in members])
            continue
        # On different sides these would be questions that no classifier can answer right twice.
        for picture, folder in members:
            split.lists["train"].append((picture, folders.index(folder)))
            bound[folder] += 1
    _remark_on_copies(split, tested)
    for label, folder in enumerate(folders):
        _divide_class(split, label, groups[folder], bound[folder], validate, test, train, seed)
    for pictures in split.lists.values():
        pictures.sort(key=lambda entry: (entry[1], entry[0].name))
    return split


def _remark_on_copies(split: Split, tested: set[str]) -> None:
    same_class = sum(len({_class_of(picture) for picture in group}) == 1 for group in split.groups)
    if same_class:
        split.remarks.append(f"{same_class} groups of byte-equal pictures: each stays in one list.")
    conflicting = [g for g in split.groups if len({_class_of(picture) for picture in g}) > 1]
    for group in conflicting[:10]:
        names = ", ".join(picture.name for picture in group)
        split.remarks.append(
            f"The same picture lies in different classes: {names}. All are in the training list; "
            "remove the wrong ones."
        )
    if len(conflicting) > 10:
        split.remarks.append(f"… and {len(conflicting) - 10} more of these; split.json has all in `groups`.")
    removed = sum(entry.reason == "the same picture is in the test folder" for entry in split.left_out)
    if removed:
        split.remarks.append(f"{removed} pictures are in the test folder, too: left out of the other lists.")


def _class_of(picture: Picture) -> str:
    return picture.name.split("/", 1)[0]


def _divide_class(
    split: Split,
    label: int,
    groups: list[list[Picture]],
    bound: int,
    validate: Amount,
    test: Amount,
    train: int | None,
    seed: int,
) -> None:
    folder = split.folders[label]
    total = sum(map(len, groups))
    asked = {"test": test.of(total + bound), "validate": validate.of(total + bound)}
    given = _fair_share(asked, total, bound)
    rest = sorted(groups, key=lambda group: _lot(seed, folder, group[0].name))
    wanted = {**given, "train": total if train is None else max(0, train - bound)}
    for name, number in wanted.items():
        taken, rest = _take(rest, number)
        split.lists[name] += [(picture, label) for group in taken for picture in group]
        wanted[name] = sum(map(len, taken))
    left = sum(map(len, rest))
    if left:
        split.left_over[folder] = left
    got = {**wanted, "train": wanted["train"] + bound}
    asked["train"] = train or 0
    lists = [name for name in ("train", "validate", "test") if asked[name] or name == "train"]
    short = [f"{asked[name]} for {_WORDS[name]}" for name in lists if got[name] < asked[name]]
    # A share of a small class may come to nothing without a list being short of what was asked.
    shares = (("validate", validate), ("test", test))
    empty = [_WORDS[name] for name, amount in shares if amount and not got[name]]
    if short:
        split.remarks.append(
            f"Class {folder!r} has {_pictures(total + bound)}, too few for {' and '.join(short)}: "
            f"it gives {', '.join(f'{got[name]} for {_WORDS[name]}' for name in lists)}."
        )
    elif empty:
        split.remarks.append(
            f"Class {folder!r} has {_pictures(total + bound)}: none for {' and '.join(empty)}."
        )


def _pictures(number: int) -> str:
    return f"{number:,} picture{'s' * (number != 1)}"


_WORDS = {"validate": "validation", "test": "test", "train": "training"}


def _fair_share(asked: dict[str, int], total: int, bound: int) -> dict[str, int]:
    """What a class can give: all that was asked while training keeps a picture, else half of it."""
    wanted = sum(asked.values())
    if wanted < total + min(bound, 1):
        return asked
    for_others = (total + bound) // 2
    # Validation first: without it no best model can be chosen.
    validate = min(asked["validate"], math.ceil(for_others * asked["validate"] / wanted)) if wanted else 0
    return {"test": min(asked["test"], for_others - validate), "validate": validate}


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
    tested = set()
    split.left_out += scan.left_out
    for picture in scan.classes[""]:
        label = _label_of(picture, split)
        if label is None:
            split.left_out.append(LeftOut(picture.path, "no class has this name"))
        else:
            split.lists["test"].append((picture, label))
            tested.add(picture.sha256)
    unknown = [entry for entry in split.left_out if entry.reason == "no class has this name"]
    if not split.lists["test"]:
        raise DataError(
            f"No picture in {scan.root} can be told to belong to a class: name them after their class "
            f"({split.folders[0]}.jpg, {split.folders[0]}_2.jpg), or put them into folders named so"
        )
    if unknown:
        shown = ", ".join(entry.path.name for entry in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        split.remarks.append(f"In {scan.root}, {shown}{more} belong to no class by their names: left out.")
    return tested


def _label_of(picture: Picture, split: Split) -> int | None:
    """The class of ``<class>/….jpg``, ``<class>.jpg`` or ``<class>_2.jpg``."""
    top, _, below = picture.name.partition("/")
    word = top if below else Path(top).stem
    for names in (split.folders, split.labels):
        for fold in (str, str.casefold):
            known = {unicodedata.normalize("NFC", fold(name)): label for label, name in enumerate(names)}
            text = unicodedata.normalize("NFC", fold(word))
            if text in known:
                return known[text]
            numbered = re.fullmatch(r"(.*?)[\s_.()-]*\d+[\s_.()-]*", text)
            if not below and numbered and numbered[1] in known:
                return known[numbered[1]]
    return None


def read_display_names(file: Path, folders: Sequence[str]) -> dict[str, str]:
    """Read display names for class folders.

    A line is ``folder name``, parted by a space, tab, comma, colon or ``=``; folders without a line keep
    their own name. A file of plain names, one for every folder, names the folders in sorted order; a file
    that lists the folders themselves decides the order of the labels.

    Returns:
        Class folder → display name, in the order of the labels.

    Raises:
        DataError: if a line fits no folder, or two classes would have one name.
    """
    try:
        content = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    lines = [line.strip() for line in content.split("\n") if line.strip()]
    if sorted(lines) == sorted(folders):
        return {line: line for line in lines}
    named: dict[str, str] = {}
    strange = []
    for line in lines:
        # The longest folder name first: `red fox` before `red`.
        for folder in sorted(folders, key=len, reverse=True):
            match = re.fullmatch(rf"{re.escape(folder)}(?:\s*[=:,\t]\s*|\s+)(\S.*)", line)
            if match:
                named[folder] = match[1]
                break
        else:
            strange.append(line)
    if len(strange) == len(lines) == len(folders):
        named, strange = dict(zip(folders, lines, strict=True)), []
    if strange:
        first = strange[0]
        raise DataError(
            f"{file}: {first!r} fits no class folder.{suggest(first.split()[0], folders)} "
            "Write `folder name` a line, for example `yushuxin 虞书欣`"
        )
    names = {folder: named.get(folder, folder) for folder in folders}
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    if twice:
        raise DataError(
            f"{file}: two classes would be called {min(twice)!r}: every class needs a name of its own"
        )
    return names


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
    """
    files = {
        folder / LIST_FILES[name]: encode(
            list_text((relative_to(picture.path, folder), label) for picture, label in pictures)
        )
        for name, pictures in split.lists.items()
        if pictures or name == "train"
    }
    files[folder / LABEL_LIST] = encode(labels_text(split.labels))
    # A test list of an earlier split would leak into this one's training pictures.
    stale = [folder / name for name in LIST_FILES.values() if folder / name not in files]
    other = [path for path, content in files.items() if path.exists() and path.read_bytes() != content]
    other += [path for path in stale if path.exists()]
    if other and not force:
        raise UsageError(
            f"{', '.join(str(path) for path in sorted(other))} already there, with other content: "
            "add --force to replace, or --out FOLDER to write elsewhere"
        )
    files[folder / SPLIT_FILE] = _split_json(split, folder, options).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.unlink(missing_ok=True)
    for path, content in files.items():
        write_atomically(path, content)
    return list(files)


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
