"""CelebA's lists of attributes: the number of images, the names of the labels, then -1 or 1 for each."""

from collections.abc import Iterator
from pathlib import Path

_BEGINNING = 65_536  # bytes, which hold the first three lines


def is_attribute_list(text: str) -> bool:
    """Whether a text, or its beginning, is of this form.

    Example:
        >>> is_attribute_list("2\\nSmiling Young\\n000001.jpg -1  1\\n000002.jpg  1 -1\\n")
        True
    """
    lines = text.splitlines()[:3]
    if len(lines) < 3 or not lines[0].strip().isdecimal():
        return False
    names, row = lines[1].split(), lines[2].split()
    return len(names) > 1 and len(row) == len(names) + 1 and {*row[1:]} <= {"-1", "0", "1"}


def is_attribute_file(file: Path) -> bool:
    """Whether a file is of this form; it must be a regular one."""
    with file.open("rb") as opened:
        return is_attribute_list(opened.read(_BEGINNING).decode("utf-8", errors="replace"))


def attribute_records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a table with ``path`` and a column for each label, with their line numbers."""
    for place, line in enumerate(text.splitlines(), 1):
        if place == 2:
            yield place, ["path", *line.split()]
        elif place > 2 and line.strip():
            yield place, line.split()
