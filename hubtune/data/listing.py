"""The files that a source of images names, before any of them is opened."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.label_sets import LabelSets
from hubtune.data.scan.inspect import ImageInfo
from hubtune.text import first_few, plural

PARTS = ("train", "validate", "test")
"""The lists of a divided data set."""

_WORDS = ("train training", "val valid validate validation dev", "test testing")
PART_OF_WORD = {word: part for part, words in zip(PARTS, _WORDS, strict=True) for word in words.split()}
"""Usual names of the lists, in folders and tables, in lower case → one of :data:`PARTS`."""

WORDS = dict(zip(PARTS, ("training", "validation", "test"), strict=True))
"""The lists as they are called in sentences."""

NO_CLASS = -1
"""Label of an image whose class is not known."""

Progress = Callable[[str, int, int], None]
"""Reports a step, such as ``unpacking`` or ``fetching, MB``, how much of it is done, and of how much; 0 while
that is unknown."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore the progress."""


# Files of operating systems: never images, and never worth a remark.
_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden by its name, or belongs to an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def name_key(name: str) -> tuple[str, str]:
    """Sort key of a name: the same on macOS, which stores another Unicode form than Linux."""
    return unicodedata.normalize("NFC", name), name


def in_order(labels: Iterable[str]) -> list[str]:
    """Return the names of classes sorted: as numbers if all are numbers, otherwise by :func:`name_key`."""
    labels = list(labels)
    if all(label.isascii() and label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels, key=name_key)


def similar_names(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that differ only in case, blanks or Unicode form, if there are any."""
    first: dict[str, str] = {}
    for name in names:
        form = " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", name).casefold().strip()))
        if first.setdefault(form, name) != name:
            return first[form], name
    return None


def describe_classes(listing: "Listing") -> str:
    """Return the number of classes and the first names: ``3 classes: ant, bee, cow``; or of labels."""
    if listing.label_sets is not None:
        names = listing.label_sets.labels
        return f"multi-label, {plural(len(names), 'label')}: {first_few([*names], 5)}"
    count = len(listing.labels)
    return f"{count:,} class{'es' * (count != 1)}: {first_few(listing.labels, 5)}"


def known_as(path: Path, root: Path) -> str:
    """Return the name of a file in messages: its path below ``root``, with ``/``, or else its whole path."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A file that is not used, and why; ``unreadable`` if it was opened and is not a usable image."""

    path: Path
    reason: str
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a source names as an image of a class.

    Attributes:
        path: the file.
        name: its path inside the folder or archive, with ``/``.
        label: its class, by the name of a class folder, or as a table says.
        group: the group that the source assigns it to (a patient, a plant, a film); groups stay in one list.
        part: the list that the source assigns it to, one of :data:`PARTS`.
    """

    path: Path
    name: str
    label: str
    group: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image on its way from a source, through the lists, into training.

    Attributes:
        path: the file; absolute, or relative to the current folder.
        label: the place of its class among the class names, from 0; :data:`NO_CLASS` if not known yet.
        name: its path inside the source, with ``/``, or as its source calls it.
        sha256: of the file's bytes, in hexadecimal; empty until they are read.
        group, part: as of :class:`SourceFile`.
        info: the result of inspecting the file; ``None`` if it was not inspected.
    """

    path: Path
    label: int
    name: str = ""
    sha256: str = ""
    group: str | None = None
    part: str | None = None
    info: ImageInfo | None = None


def count_by_class(
    labels: Sequence[str], lists: Mapping[str, Sequence[ImageEntry]]
) -> dict[str, dict[str, int]]:
    """Return class → number of its images in each list, by the list's name."""
    counts = {name: Counter(image.label for image in images) for name, images in lists.items()}
    return {
        label: {name: numbers[number] for name, numbers in counts.items()}
        for number, label in enumerate(labels)
    }


def count_by_label(sets: LabelSets, lists: Mapping[str, Sequence[ImageEntry]]) -> dict[str, dict[str, int]]:
    """Return label → number of multi-label images in each list that have it, by the list's name."""
    by_set = {name: Counter(image.label for image in images) for name, images in lists.items()}
    return {
        label: {
            name: sum(count for own, count in counts.items() if number in sets.sets[own])
            for name, counts in by_set.items()
        }
        for number, label in enumerate(sets.labels)
    }


def count_unlabelled(sets: LabelSets, lists: Mapping[str, Sequence[ImageEntry]]) -> dict[str, int]:
    """Return the number of multi-label images in each list that have no label, by the list's name."""
    return {name: sum(not sets.sets[image.label] for image in images) for name, images in lists.items()}


@dataclass
class Listing:
    """All files of a source.

    Attributes:
        root: the folder that the names start from.
        labels: the classes, in the order of their labels.
        files: the files to inspect, by class and name.
        left_out: files that should be images but are not used.
        non_images: files that are not images.
        remarks: what a person should know, one sentence each.
        taken_for: what the source was taken for, as a part of a sentence.
        label_sets: the labels of multi-label data; ``labels`` are then the names of their sets.
        states_each: whether the source says of each label whether an image has it, as columns of 0 and 1 do;
            of a label that it lacks nothing is known then.
    """

    root: Path
    labels: list[str] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    left_out: list[Excluded] = field(default_factory=list)
    non_images: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    taken_for: str = ""
    label_sets: LabelSets | None = None
    states_each: bool = False

    def sort(self) -> None:
        """Sort the files by class and name."""
        number_of = {label: number for number, label in enumerate(self.labels)}
        self.files.sort(key=lambda file: (number_of[file.label], name_key(file.name)))
