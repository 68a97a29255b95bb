"""Names of classes as label files have them: one per line, with or without a number before or behind it."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubtune.errors import DataError

# `3 name`, `3:name`, `3. name`, `3) name`, `3 -> name`, `3<tab>name`; the same with the number behind.
_BETWEEN = r"(?:[ \t]*(?:[:,=;|：，、）)]|[-=]>)[ \t]*|[ \t]+)"
_NUMBER_FIRST = re.compile(
    rf"(?P<number>\d{{1,9}})(?:{_BETWEEN}|\.[ \t]*(?=\D))(?P<name>[^ \t].*)", re.DOTALL
)
_NUMBER_LAST = re.compile(rf"(?P<name>.*[^ \t]){_BETWEEN}(?P<number>\d{{1,9}})", re.DOTALL)
_QUOTED = re.compile(  # a line of JSON, of Python or YAML: `"3": "name",`
    r"""["']?(?P<number>\d{1,9})["']?[ \t]*:[ \t]*(?P<quote>["'])(?P<name>.*\S.*)(?P=quote),?""", re.DOTALL
)
# With these between, the number may well be a part of the name: `1_cat`.
_NUMBER_IN_NAME = re.compile(r"(?P<number>\d{1,9})[-_](?P<name>.+)", re.DOTALL)
_COLUMN_WORDS = frozenset("id index no number label class name 编号 序号 标签 类别 名称".split())


@dataclass(frozen=True)
class LabelNames:
    """Names of classes, and the numbers that their file gives them.

    Attributes:
        names: in the order of their numbers, or else of the lines.
        numbers: the number of each name, ascending; ``None`` if the file has none.
    """

    names: list[str]
    numbers: list[int] | None = None

    def described(self) -> str | None:
        """Return a sentence about the numbers, if they are not simply those of the lines from 0."""
        if self.numbers is None:
            return None
        first, count = self.numbers[0], len(self.numbers)
        gaps = "" if self.numbers == list(range(first, first + count)) else ", with gaps"
        return f"each line has the number of its class ({first} to {self.numbers[-1]}{gaps})"


def parse_label_names(lines: Sequence[str], file: Path) -> LabelNames:
    """Read the names in the lines of a label file.

    Numbers before or behind the names are taken for the classes' numbers if every line has one, and they
    count from 0 or from 1, each once, in any order. Otherwise each line is a name.

    Raises:
        DataError: if the lines have numbers before and behind the names, and both count the classes; if only
            the first line has none, and names columns; if numbers joined to the names are in another order.
    """
    counted = [found for found in _numberings(lines) if _is_consecutive(found.numbers or [])]
    # `0 name` is PaddleClas' own form, whatever the name ends with.
    if len(counted) == 2 and counted[0] != counted[1] and (counted[0].numbers or [1])[0] != 0:
        raise DataError(
            f"{file}: every line has a number before and behind its name ({lines[0]!r}): leave one of them"
        )
    if not counted:
        _check_plain(lines, file)
    return counted[0] if counted else LabelNames(list(lines))


def _check_plain(lines: Sequence[str], file: Path) -> None:
    """Refuse lines that are not just names: a line of column names, or numbers in another order."""
    words = {*re.findall(r"[^\W\d_]+", lines[0].lower())}
    if words & _COLUMN_WORDS and any(
        _is_consecutive(found.numbers or []) for found in _numberings(lines[1:])
    ):
        raise DataError(
            f"{file}: the first line, {lines[0]!r}, has no number, unlike all others: remove it if it names "
            "columns, or write only names, one per line"
        )
    joined = _numbered(lines, _NUMBER_IN_NAME)
    if (
        joined
        and _is_consecutive(joined.numbers or [])
        and [*lines] not in (sorted(lines), _by_number(lines))
    ):
        raise DataError(
            f"{file}: the numbers in the names, such as {lines[0]!r}, are in another order than the lines: "
            "if they are the classes' numbers, put a blank behind them, or else one before: `0 name`"
        )


def _by_number(lines: Iterable[str]) -> list[str]:
    return sorted(lines, key=lambda line: int(re.findall(r"\d+", line)[0]))


def numbered_with_gaps(lines: Sequence[str]) -> LabelNames | None:
    """Return the names by the numbers before or behind them, each once but not consecutive, or ``None``."""
    readings = _numberings(lines)
    return readings[0] if len(readings) == 1 else None


def _numberings(lines: Sequence[str]) -> list[LabelNames]:
    if (quoted := _numbered(lines, _QUOTED)) is not None:
        return [quoted]
    found = (_numbered(lines, form) for form in (_NUMBER_FIRST, _NUMBER_LAST))
    return [names for names in found if names is not None]


def _numbered(lines: Sequence[str], form: re.Pattern[str]) -> LabelNames | None:
    matches = [form.fullmatch(line.strip(" \t")) for line in lines]
    name_of = {int(found["number"]): found["name"] for found in matches if found}
    # Behind the name, a number may be all that tells it from others: `type 1`, `type 2`.
    repeated = form is _NUMBER_LAST and len(set(name_of.values())) < len(lines)
    if len(name_of) < len(lines) or repeated:
        return None
    numbers = sorted(name_of)
    return LabelNames([name_of[number] for number in numbers], numbers)


def _is_consecutive(numbers: Sequence[int]) -> bool:
    return bool(numbers) and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1


def distinct_names(names: Iterable[str]) -> list[str]:
    """Number repeated class names: ``crane``, ``crane (2)``.

    ImageNet's own list has two cranes, the bird and the machine.
    """
    times: Counter[str] = Counter()
    distinct = []
    for name in names:
        times[name] += 1
        distinct.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return distinct


def labels_text(names: Iterable[str]) -> str:
    """Return the content of a label file from which the same names are read again."""
    names = list(names)
    try:
        is_plain = parse_label_names(names, Path()).names == names and numbered_with_gaps(names) is None
    except DataError:
        is_plain = False
    if not is_plain:  # `0 cat`, `1 dog` are the names
        names = [f"{number} {name}" for number, name in enumerate(names)]
    return "".join(f"{name}\n" for name in names)


def check_class_names(names: list[str]) -> list[str]:
    """Return class names unchanged, for pydantic; ``ValueError`` if two are the same, or one is blank."""
    if len(set(names)) < len(names):
        raise ValueError("two classes have one name")
    if not all(name.strip() for name in names):
        raise ValueError("a class has no name")
    return names
