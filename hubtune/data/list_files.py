"""List files in the format of PaddleHub and PaddleClas: ``path label`` per line; one class name per line.

UTF-8, with ``/`` as separator; the last space or tab of a line separates path and label. File names that are
not valid UTF-8 are kept by Python's ``surrogateescape``. A file that cannot be read raises a DataError.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from os.path import lexists  # Path.exists() raises where a name with its label is longer than names may be
from pathlib import Path

from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError, suggest
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular

TRAIN_LIST = "train_list.txt"
VALIDATE_LIST = "validate_list.txt"
PADDLECLAS_VALIDATE_LIST = "val_list.txt"
TEST_LIST = "test_list.txt"
LABEL_LIST = "label_list.txt"


def read_list(file: Path, base: Path, labels: Sequence[str]) -> list[ImageEntry]:
    """Read a list file whose paths start from ``base``; a label is a class name, or its number.

    Raises:
        DataError: if a line has no label or an unknown one.
    """
    numbers = {name: number for number, name in enumerate(labels)}
    examples = []
    for place, line in _lines(file):
        path, label = split_line(line)
        if not path:
            raise DataError(f"{file}:{place}: no label in {line!r}: write `path label`")
        # A number is an id even if the names of classes are numbers, as in PaddleHub.
        number = int(label) if _is_number(label) else numbers.get(label)
        if number is None:
            raise DataError(f"{file}:{place}: unknown label {label!r}.{suggest(label, labels)}")
        if number >= len(labels):
            raise DataError(
                f"{file}:{place}: label {number}, but the {len(labels)} classes are 0 to {len(labels) - 1}"
            )
        examples.append(ImageEntry(_locate(path, base), number))
    return examples


def read_paths(file: Path, base: Path) -> list[Path]:
    """Read the paths of a list; its lines may have labels."""
    paths = []
    for _, line in _lines(file):
        path, _ = split_line(line)
        unlabelled = _locate(line, base)
        paths.append(unlabelled if not path or lexists(unlabelled) else _locate(path, base))
    return paths


def _locate(path: str, base: Path) -> Path:
    """Return the file of a path in a list; if it does not exist, Windows' separators and spaces are tried."""
    file = base / path
    if ("\\" in path or path[-1] in " \t") and not lexists(file):
        corrected = base / path.replace("\\", "/").rstrip(" \t")
        return corrected if lexists(corrected) else file
    return file


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) < 10


def split_line(line: str) -> tuple[str, str]:
    """Split a line at its last space or tab into path and label; without any, the path is empty."""
    line = line.rstrip(" \t")
    cut = max(line.rfind(" "), line.rfind("\t"))
    return (line[:cut], line[cut + 1 :]) if cut > 0 else ("", line)


def count_listed_classes(file: Path) -> int | None:
    """Return the highest label of a list plus one, or ``None`` if a label is not a number."""
    labels = [split_line(line)[1] for _, line in _lines(file)]
    if not all(map(_is_number, labels)):
        return None
    return max((int(label) + 1 for label in labels), default=0)


def list_text(examples: Iterable[tuple[str, int]]) -> str:
    """Return the content of a list file, from the paths as they are to be written, and their labels."""
    return "".join(f"{path} {label}\n" for path, label in examples)


def read_labels(file: Path) -> list[str]:
    """Read class names: one per line, or PaddleClas' ``number name``, whose lines may have any order.

    Raises:
        DataError: if the list is empty, or has a name twice.
    """
    names = read_repeated_labels(file)
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise DataError(f"{file} has class {repeated[0]!r} twice: every class needs a name of its own")
    return names


def read_repeated_labels(file: Path) -> list[str]:
    """Read class names as :func:`read_labels` does, from a list that may have a name twice."""
    names = [line for _, line in _lines(file)]
    if not names:
        raise DataError(f"{file} names no class: write one class name a line")
    numbered = _by_number(names)
    starts = [parts[0] for name in names if len(parts := name.split(maxsplit=1)) == 2]
    all_numbered = len(starts) == len(names) and all(map(str.isdecimal, starts))
    # Names may begin with numbers as well, but hardly all of them, and one with 0.
    if numbered is None and all_numbered and 0 in map(int, starts):
        raise DataError(
            f"{file}: the classes' numbers are not 0 to {len(names) - 1}, each once: correct them"
        )
    return numbered or names


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
    """Return the content of a label list, from which :func:`read_labels` reads the same names."""
    names = list(names)
    if _by_number(names):  # the numbers of `0 cat`, `1 dog` are a part of the names
        names = [f"{number} {name}" for number, name in enumerate(names)]
    return "".join(f"{name}\n" for name in names)


def _by_number(names: Sequence[str]) -> list[str] | None:
    parted = (name.split(maxsplit=1) for name in names)
    name_of = {parts[0]: parts[1] for parts in parted if len(parts) == 2}
    numbers = [str(number) for number in range(len(names))]
    return [name_of[number] for number in numbers] if name_of.keys() == set(numbers) else None


def encode(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def relative_to(path: Path, folder: Path) -> str:
    """Return a path as it is written in a list in ``folder``: relative if possible, with ``/``."""
    absolute, start = path.absolute(), folder.absolute()
    if absolute.is_relative_to(start) and ".." not in absolute.parts:
        return absolute.relative_to(start).as_posix()
    # `..` is resolved after following the links on the way.
    absolute, start = absolute.parent.resolve() / absolute.name, start.resolve()
    if absolute.anchor != start.anchor:  # another drive
        return absolute.as_posix()
    return Path(os.path.relpath(absolute, start)).as_posix()


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        content = read_regular(file, MOST_LIST_BYTES)
    except FileNotFoundError as error:
        near = suggest(file.name, [other.name for other in file.parent.glob("*.txt")])
        raise DataError(
            f"There is no {file}.{near} `hubtune split` makes the lists from folders of pictures."
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    # Only line feeds separate lines: a file name may contain any other separator of Unicode.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    yield from ((place, line) for place, line in enumerate(lines, start=1) if line.strip(" \t"))
