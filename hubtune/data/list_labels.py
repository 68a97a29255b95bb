"""What the labels in lists stand for: numbers from 0 or from 1, numbers of a label file, or names."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.label_names import LabelNames, numbered_with_gaps, parse_label_names
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import name_key
from hubtune.errors import DataError, suggest
from hubtune.text import first_few

MULTI_LABEL = "multi-label"
LABELS_ARE = ("numbers", "numbers-from-1", "names", MULTI_LABEL)
"""How a person may say what the labels of lists are."""

SEVERAL_CURE = f", or add --labels-are {MULTI_LABEL} if pictures have several"
"""What settles the question of a picture with two labels, at the end of a sentence."""

_Reading = dict[str, int]


@dataclass(frozen=True)
class ClassLabels:
    """The classes of lists, and the class that each label stands for.

    Attributes:
        names: of the classes, in order; of multi-label lists, those of the sets of labels.
        number_of: label as it is written → number of its class, from 0.
        remarks: what was taken for what, one sentence each.
        sets: the labels of multi-label lists, and their sets.
    """

    names: list[str]
    number_of: Mapping[str, int]
    remarks: list[str] = field(default_factory=list)
    sets: LabelSets | None = None


def class_labels(
    written: Mapping[str, str],
    lines: Sequence[str] | None,
    file: Path,
    *,
    labels_are: str | None = None,
    lines_are_names: bool = False,
    own_lists: bool = False,
) -> ClassLabels:
    """Return the classes of lists with the labels ``written``.

    A number is the place of a class, from 0, as in PaddleHub and PaddleClas, if all labels fit that. They
    count from 1 if only that fits. A label file with a number on each line says itself what the numbers are.

    Args:
        written: each label of all lists → its first line, for messages.
        lines: the lines of the label file; ``None`` without one.
        file: the label file, or else the list, for messages.
        labels_are: what the labels are, one of :data:`LABELS_ARE`, if a person said it.
        lines_are_names: whether the lines are known to be names, including any numbers in them.
        own_lists: whether hubtune made the lists, so that numbers are places, whatever the names are.

    Raises:
        DataError: if no reading fits all labels, or two that differ.
    """
    if lines is None:
        return _named_by_labels(written)
    known = LabelNames([*lines]) if lines_are_names else _label_names(written, lines, file)
    if repeated := [name for name, times in Counter(known.names).items() if times > 1]:
        raise DataError(f"{file} has class {repeated[0]!r} twice: every class needs a name of its own")
    remarks = [] if known.numbers is None else [f"{file.name}: {known.described()}."]
    readings = _readings(written, known)
    if labels_are is not None:
        if labels_are not in readings:
            raise DataError(f"The labels cannot be {labels_are}: {_misfit(written, known.names)}")
        return ClassLabels(known.names, readings[labels_are], remarks)
    if not readings:
        raise DataError(_misfit(written, known.names))
    chosen = next(name for name in LABELS_ARE if name in readings)
    if chosen != "names" and "names" in readings and not own_lists:
        _check_numeric_names(readings[chosen], readings["names"], known.names, file)
    if chosen == "numbers-from-1":
        if len(written) < len(known.names):
            raise DataError(
                f"{_misfit(written, known.names)}; if they count from 1: --labels-are numbers-from-1"
            )
        remarks.append(f"The labels count from 1: 1 is {known.names[0]!r}.")
    elif chosen == "numbers" and "numbers-from-1" in readings and len(written) == len(known.names) - 1:
        remarks.append(
            f"No picture has the label 0, {known.names[0]!r}; if the labels count from 1: "
            "--labels-are numbers-from-1."
        )
    return ClassLabels(known.names, readings[chosen], remarks)


def check_label(label: str, where: str) -> None:
    """Refuse ``-1`` and the like, which stand for pictures without a label, by a DataError."""
    if label.startswith("-") and is_number(label[1:]):
        raise DataError(
            f"{where}: the label {label} is not a class: remove the lines of pictures without one"
        )


def is_number(label: str) -> bool:
    """Whether a label is the number of a class."""
    return label.isascii() and label.isdecimal() and len(label) < 10


def _named_by_labels(written: Mapping[str, str]) -> ClassLabels:
    """Return classes that are called as their labels; numbers are in the order of numbers."""
    for label, where in written.items():
        check_label(label, where)
    if not all(map(is_number, written)):
        names = sorted(written, key=name_key)
        return ClassLabels(names, {name: number for number, name in enumerate(names)})
    numbers = sorted({int(label) for label in written})
    place = {number: place for place, number in enumerate(numbers)}
    remarks = []
    if numbers != [*range(len(numbers))]:
        shown = first_few([str(number) for number in numbers])
        remarks.append(f"The labels {shown} are the names of the classes, as there is no label list.")
    return ClassLabels(
        [str(number) for number in numbers], {label: place[int(label)] for label in written}, remarks
    )


def _label_names(written: Mapping[str, str], lines: Sequence[str], file: Path) -> LabelNames:
    """Return the names of a label file; the labels decide whether numbers with gaps belong to the names."""
    names = parse_label_names(lines, file)
    gaps = None if names.numbers is not None else numbered_with_gaps(lines)
    if gaps is None:
        return names
    numbers = {str(number) for number in gaps.numbers or []}
    by_number = numbers.union(gaps.names).issuperset(written)
    if by_number and _readings(written, names):
        raise DataError(
            f"{file}: the number on each line ({lines[0]!r}) may be the class's number or a part of its "
            "name: write only names, one per line, in the order of the labels"
        )
    return gaps if by_number else names


def _readings(written: Mapping[str, str], known: LabelNames) -> dict[str, _Reading]:
    """Return the readings that fit all labels: one of :data:`LABELS_ARE` → label → number of its class."""
    count = len(known.names)
    place_of_name = _places(written, known.names)
    numberings = {"numbers": {number: number for number in range(count)}}
    own = {number: place for place, number in enumerate(known.numbers or [])}
    if own and own != numberings["numbers"]:
        # A label that the file does not have shows that the lists count from 0 all the same.
        if all(int(label) in own for label in written if is_number(label)):
            numberings["numbers"] = own
    elif not own:
        numberings["numbers-from-1"] = {number + 1: number for number in range(count)}
    readings = {}
    for name, place_of in numberings.items():
        found = {x: place_of.get(int(x)) if is_number(x) else place_of_name.get(x) for x in written}
        readings[name] = {label: place for label, place in found.items() if place is not None}
    readings["names"] = {label: place_of_name[label] for label in written if label in place_of_name}
    return {name: reading for name, reading in readings.items() if len(reading) == len(written)}


def _places(written: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """Return the place of each name, also as a label has it in another case or Unicode form if one fits."""
    place_of = {name: place for place, name in enumerate(names)}
    fitting: dict[str, list[int]] = {}
    for name, place in place_of.items():
        fitting.setdefault(_fold(name), []).append(place)
    other = {label: fitting.get(_fold(label), []) for label in written if label not in place_of}
    return place_of | {label: places[0] for label, places in other.items() if len(places) == 1}


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_numeric_names(by_number: _Reading, by_name: _Reading, names: Sequence[str], file: Path) -> None:
    """Refuse labels that are both names and numbers of classes, but of different ones."""
    for label, place in by_number.items():
        if by_name[label] != place and is_number(label):
            raise DataError(
                f"{file}: the names of the classes are numbers in another order than their lines, so the "
                f"label {label} may be the class {label!r} or {names[place]!r}: add --labels-are names or "
                "--labels-are numbers"
            )


def _misfit(written: Mapping[str, str], names: Sequence[str]) -> str:
    """Return which label fits no reading."""
    known = set(names)
    for label, where in written.items():
        if not is_number(label) and label not in known:
            check_label(label, where)
            blanks = any(name.endswith(f" {label}") for name in names)
            advice = (
                " A label with blanks is separated from the path by a tab."
                if blanks
                else suggest(label, names)
            )
            return f"{where}: unknown label {label!r}.{advice}"
    worst = max((label for label in written if is_number(label)), key=int, default="")
    return f"{written.get(worst)}: label {worst}, but the {len(names)} classes are 0 to {len(names) - 1}"
