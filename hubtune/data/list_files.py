"""List files, as PaddleHub and PaddleClas have them: ``path label`` a line, and one class name a line.

UTF-8, ``/`` as separator; the last space or tab of a line parts the path from the label. File names that are
not valid UTF-8 travel through Python's ``surrogateescape``.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from os.path import lexists  # Path.exists() raises where a name with its label is longer than names may be
from pathlib import Path

from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError, suggest

TRAIN_LIST = "train_list.txt"
VALIDATE_LIST = "validate_list.txt"
PADDLECLAS_VALIDATE_LIST = "val_list.txt"
TEST_LIST = "test_list.txt"
LABEL_LIST = "label_list.txt"


def read_list(file: Path, base: Path, labels: Sequence[str]) -> list[ImageEntry]:
    """Read a list file.

    Args:
        file: the list.
        base: folder that relative paths in the list start from.
        labels: the class names; a line's label is the number of one of them, or the name itself.

    Raises:
        DataError: if the file cannot be read, or a line has no label or an unknown one.
    """
    numbers = {name: number for number, name in enumerate(labels)}
    examples = []
    for place, line in _lines(file):
        path, label = split_line(line)
        if not path:
            raise DataError(f"{file}:{place}: no label in {line!r}: write `path label`")
        # A number is an id even where classes are called by numbers, as in PaddleHub.
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
    """Read the pictures of a list whose labels do not matter or are not there.

    Raises:
        DataError: if the file cannot be read.
    """
    paths = []
    for _, line in _lines(file):
        path, _ = split_line(line)
        whole = _locate(line, base)
        paths.append(whole if not path or lexists(whole) else _locate(path, base))
    return paths


def _locate(path: str, base: Path) -> Path:
    """Where a list's path leads; where it leads nowhere, it may be as Windows or careless hands write it."""
    found = base / path
    if ("\\" in path or path[-1] in " \t") and not lexists(found):
        meant = base / path.replace("\\", "/").rstrip(" \t")
        return meant if lexists(meant) else found
    return found


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) < 10


def split_line(line: str) -> tuple[str, str]:
    """Part a list's line at its last space or tab; the path is empty where there is none."""
    line = line.rstrip(" \t")
    cut = max(line.rfind(" "), line.rfind("\t"))
    return (line[:cut], line[cut + 1 :]) if cut > 0 else ("", line)


def count_listed_classes(file: Path) -> int | None:
    """Highest label of a list plus one, or ``None`` if a label is not a number.

    Raises:
        DataError: if the file cannot be read.
    """
    labels = [split_line(line)[1] for _, line in _lines(file)]
    if not all(map(_is_number, labels)):
        return None
    return max((int(label) + 1 for label in labels), default=0)


def list_text(examples: Iterable[tuple[str, int]]) -> str:
    """The content of a list file.

    Args:
        examples: path as it is to stand in the list, and label.
    """
    return "".join(f"{path} {label}\n" for path, label in examples)


def read_labels(file: Path) -> list[str]:
    """Read class names: one a line, or PaddleClas' ``number name``, whose lines may have any order.

    Raises:
        DataError: if the file cannot be read, is empty, or has a name twice.
    """
    names = read_repeated_labels(file)
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{file}: class {name!r} stands there twice: every class needs a name of its own")
        seen.add(name)
    return names


def read_repeated_labels(file: Path) -> list[str]:
    """Read class names as :func:`read_labels` does, from a list that may have a name twice.

    Raises:
        DataError: if the file cannot be read or is empty.
    """
    names = [line for _, line in _lines(file)]
    if not names:
        raise DataError(f"{file} names no class: write one class name a line")
    numbered = _by_number(names)
    parted = [name.split(maxsplit=1) for name in names]
    all_numbered = all(len(parts) == 2 and parts[0].isdecimal() for parts in parted)
    # Names may begin with numbers, too, but hardly all of them, and with a 0 among them.
    if numbered is None and all_numbered and min(int(parts[0]) for parts in parted) == 0:
        raise DataError(
            f"{file}: the classes' numbers are not 0 to {len(names) - 1}, each once: correct them"
        )
    return numbered or names


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return class names of which a repeated one has its number: ``crane``, ``crane (2)``.

    ImageNet's own list has two cranes, the bird and the machine.
    """
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


def labels_text(names: Iterable[str]) -> str:
    """The content of a label list; :func:`read_labels` gives the same names back."""
    names = list(names)
    if _by_number(names):  # folders called `0 cat`, `1 dog`: the numbers belong to the names
        names = [f"{number} {name}" for number, name in enumerate(names)]
    return "".join(f"{name}\n" for name in names)


def _by_number(names: Sequence[str]) -> list[str] | None:
    """What follows the numbers, in their order; ``None`` unless all lines have one, and none is missing."""
    parted = (name.split(maxsplit=1) for name in names)
    follows = {parts[0]: parts[1] for parts in parted if len(parts) == 2}
    numbers = [str(number) for number in range(len(names))]
    return [follows[number] for number in numbers] if follows.keys() == set(numbers) else None


def encode(text: str) -> bytes:
    """Text of a list as it stands on disk."""
    return text.encode("utf-8", errors="surrogateescape")


def relative_to(path: Path, folder: Path) -> str:
    """A path as it stands in a list that lies in ``folder``: relative where possible, with ``/``."""
    absolute, start = path.absolute(), folder.absolute()
    if absolute.is_relative_to(start) and ".." not in absolute.parts:
        return absolute.relative_to(start).as_posix()
    # Where `..` leads is known only once the links on the way are followed.
    absolute, start = absolute.parent.resolve() / absolute.name, start.resolve()
    if absolute.anchor != start.anchor:  # another drive
        return absolute.as_posix()
    return Path(os.path.relpath(absolute, start)).as_posix()


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, each with its number from 1."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        near = suggest(file.name, [other.name for other in file.parent.glob("*.txt")])
        raise DataError(
            f"There is no {file}.{near} `hubtune split` makes the lists from folders of pictures."
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    # Only line feeds part lines: a file name may hold any other separator that Unicode has.
    for place, ended in enumerate(text.split("\n"), start=1):
        line = ended.removesuffix("\r")
        if line.strip(" \t"):
            yield place, line
