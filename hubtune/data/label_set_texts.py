"""Multi-label lists: which set of labels each text in the place of a label stands for.

A text is a row of 0 and 1, one for each label, as PaddleClas writes them (``0,1,1``); or numbers of labels
(``1,2``); or names of labels (``red, round``).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hubtune.data.label_names import LabelNames, parse_label_names
from hubtune.data.label_separators import come_back, split_labels
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_labels import MULTI_LABEL, ClassLabels, is_number
from hubtune.data.listing import in_order
from hubtune.errors import DataError, suggest

_BINARY = frozenset(("0", "1", "-1"))
_DECIMAL = re.compile(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?", re.IGNORECASE)
_OTHERWISE = "otherwise: --labels-are"


def read_label_sets(
    written: Mapping[str, str],
    lines: Sequence[str] | None,
    file: Path,
    *,
    labels_are: str | None = None,
    lines_are_names: bool = False,
    is_certain: bool = False,
    column: str | None = None,
) -> ClassLabels | None:
    """Return the sets of labels that texts stand for; ``None`` if each text stands for a class.

    Texts of 0 and 1 with a single 1 each, and names without a separator, are sets of labels only if that is
    certain.

    Args:
        written: each text of all lists → its first line, for messages.
        lines: the lines of the label file; ``None`` without one.
        file: the label file, or else the list, for messages.
        labels_are: what the labels are, one of :data:`~hubtune.data.list_labels.LABELS_ARE`, if a person said
            it.
        lines_are_names: whether the lines are known to be names, including any numbers in them.
        is_certain: whether the lists are known to be multi-label.
        column: of a table, in lower case; numbers in it are labels only if they come back.

    Raises:
        DataError: if texts differ in length, or name a label that there is not.
    """
    if labels_are == "names" or not written:
        return None
    is_certain = is_certain or labels_are == MULTI_LABEL
    known = LabelNames([*lines]) if lines and lines_are_names else lines and parse_label_names(lines, file)
    names = known.names if known else None
    parts = split_labels(written, is_certain=is_certain, are_tags=column in ("tags", "attributes"))
    if labels_are in (None, MULTI_LABEL):
        rows = {text: re.split(r"[\s,]+", ",".join(own)) for text, own in parts.items()}
        if _are_rows(rows, names, is_certain=is_certain):
            return _read_rows(written, rows, names, file, is_certain=is_certain)
        _check_values(written, parts, names)
    is_several = max(map(len, parts.values())) > 1
    if all(is_number(part) for own in parts.values() for part in own):
        if not is_certain and (not is_several or (column and names is None and not come_back(parts))):
            return None
        numbers = known.numbers if known else None
        return _read_numbers(written, parts, names, numbers, file, from_1=labels_are == "numbers-from-1")
    if labels_are not in (None, MULTI_LABEL) or not (is_certain or _are_several(parts, names)):
        return None
    return _read_names(written, parts, names, file, is_certain=is_certain)


def _are_rows(rows: Mapping[str, Sequence[str]], names: Sequence[str] | None, *, is_certain: bool) -> bool:
    """Whether texts have a value of 0 or 1 for each label, and are not the numbers of the labels 0 and 1."""
    if (
        is_certain
        and names is not None
        and len(names) == 1
        and {*map(tuple, rows.values())} <= {("0",), ("1",)}
    ):
        return True
    binary = [row for row in rows.values() if len(row) > 1 and _BINARY.issuperset(row)]
    # Numbers of labels do not repeat: a row that does shows what all are, whatever is wrong with others.
    if any(len(set(row)) < len(row) or "-1" in row for row in binary):
        return True
    widths = {len(row) for row in rows.values()}
    return len(binary) == len(rows) and (widths == {len(names)} if names is not None else len(widths) == 1)


def _read_rows(
    written: Mapping[str, str],
    rows: Mapping[str, Sequence[str]],
    names: Sequence[str] | None,
    file: Path,
    *,
    is_certain: bool,
) -> ClassLabels | None:
    widths = Counter(len(row) for row in rows.values() if _BINARY.issuperset(row))
    width = len(names) if names else widths.most_common(1)[0][0]
    values = {value for row in rows.values() for value in row}
    for text, row in rows.items():
        if odd := [value for value in row if value not in _BINARY]:
            what = f"the value {odd[0]}" if odd[0] else "no value"
            raise DataError(
                f"{written[text]}: {text!r} has {what}, where other lines have 0 and 1: write 1 for a label "
                "that a picture has, and 0 for one that it does not have"
            )
        if len(row) != width:
            of = f"the {width} labels of {file}" if names else f"the {width} of other lines"
            raise DataError(f"{written[text]}: {len(row)} values of 0 and 1 ({text!r}), unlike {of}")
        if "-1" in row and "0" in values:
            raise DataError(
                f"{written[text]}: {text!r} has -1 beside 0 and 1: write 0 for a label that a picture does "
                "not have, and leave out pictures of which it is not known"
            )
    marked = {text: [n for n, value in enumerate(row) if value == "1"] for text, row in rows.items()}
    labels = [*names] if names else [str(number) for number in range(width)]
    if not is_certain and all(len(own) == 1 for own in marked.values()):
        remark = (
            "Each picture has a single 1 among its values of 0 and 1, which is taken for its class "
            f"({_OTHERWISE} {MULTI_LABEL})."
        )
        return ClassLabels(labels, {text: own[0] for text, own in marked.items()}, [remark])
    return _class_labels(labels, marked, [])


def _check_values(
    written: Mapping[str, str], parts: Mapping[str, Sequence[str]], names: Sequence[str] | None
) -> None:
    """Refuse rows of one value for each label, some of which are neither 0 nor 1, such as a probability."""
    values = {part for own in parts.values() for part in own}
    if len({len(own) for own in parts.values()}) > 1 or not all(map(_DECIMAL.fullmatch, values)):
        return
    # Numbers of labels are whole, and a picture has each label once.
    is_row = not all(map(is_number, values)) or any(len(set(own)) < len(own) for own in parts.values())
    if is_row and len(next(iter(parts.values()))) > 1 and not values <= {*(names or ())}:
        odd = ((text, part) for text, own in parts.items() for part in own if part not in ("0", "1"))
        text, value = next(odd)
        raise DataError(
            f"{written[text]}: {text!r} has the value {value}: write 1 for a label that a picture has, and 0 "
            "for one that it does not have"
        )


def _read_numbers(
    written: Mapping[str, str],
    parts: Mapping[str, Sequence[str]],
    names: Sequence[str] | None,
    numbers: Sequence[int] | None,
    file: Path,
    *,
    from_1: bool,
) -> ClassLabels:
    """Read numbers of labels, from 0 or 1, or those that the label file has."""
    used = sorted({int(part) for own in parts.values() for part in own})
    labels = [str(number) for number in used] if names is None else [*names]
    counted = used if names is None else numbers or range(from_1, len(labels) + from_1)
    place = {number: n for n, number in enumerate(counted)}
    for text, own in parts.items():
        for part in own:
            if int(part) not in place:
                raise DataError(
                    f"{written[text]}: label {part}, but the {len(labels)} labels of {file.name} are "
                    f"{min(place)} to {max(place)}"
                )
    combined = next((text for text, own in parts.items() if len(own) > 1), next(iter(parts)))
    remark = (
        f"Texts such as {combined!r} are taken for numbers of several labels of a picture "
        f"({_OTHERWISE} names)."
    )
    own_places = {text: [place[int(part)] for part in own] for text, own in parts.items()}
    return _class_labels(labels, own_places, [remark])


def _are_several(parts: Mapping[str, Sequence[str]], names: Sequence[str] | None) -> bool:
    """Whether texts with separators are several names: those of the label file, or parts that come back."""
    if names is None:
        return come_back({text: own for text, own in parts.items() if own})
    known = set(names)
    return any(text not in known for text in parts) and all(
        part in known for own in parts.values() for part in own
    )


def _read_names(
    written: Mapping[str, str],
    parts: Mapping[str, Sequence[str]],
    names: Sequence[str] | None,
    file: Path,
    *,
    is_certain: bool,
) -> ClassLabels:
    labels = [*names] if names is not None else in_order({part for own in parts.values() for part in own})
    place = {label: number for number, label in enumerate(labels)}
    for text, own in parts.items():
        for part in own:
            if part not in place:
                raise DataError(
                    f"{written[text]}: unknown label {part!r}.{suggest(part, labels)} {file} has the names"
                )
    remarks = []
    if not is_certain:
        combined = next(text for text, own in parts.items() if len(own) > 1)
        remarks.append(
            f"Texts such as {combined!r} are taken for several labels of a picture ({_OTHERWISE} names)."
        )
    return _class_labels(
        labels, {text: [place[part] for part in own] for text, own in parts.items()}, remarks
    )


def _class_labels(
    labels: Sequence[str], numbers: Mapping[str, Sequence[int]], remarks: list[str]
) -> ClassLabels:
    sets = LabelSets.of(labels, numbers.values())
    number_of = {text: sets.number_of[tuple(sorted(set(own)))] for text, own in numbers.items()}
    return ClassLabels(sets.names, number_of, remarks, sets)
