"""The format of list files, as PaddleHub and PaddleClas have it: ``path label`` per line.

Of multi-label data, as PaddleClas has it: the path, a tab, and 0 or 1 for each label, separated by commas.
UTF-8, with ``/`` as separator; the last space or tab of a line separates path and label. File names that are
not valid UTF-8 are kept by Python's ``surrogateescape``.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hubtune.storage.regular_file import MOST_LIST_BYTES, read_json

TRAIN_LIST = "train_list.txt"
VALIDATE_LIST = "validate_list.txt"
PADDLECLAS_VALIDATE_LIST = "val_list.txt"
TEST_LIST = "test_list.txt"
LABEL_LIST = "label_list.txt"
SPLIT_FILE = "split.json"


def split_line(line: str) -> tuple[str, str]:
    """Split a line at its last space or tab into path and label; without any, the path is empty."""
    line = line.rstrip(" \t")
    cut = max(line.rfind(" "), line.rfind("\t"))
    return (line[:cut], line[cut + 1 :]) if cut > 0 else ("", line)


def list_text(examples: Iterable[tuple[str, int]]) -> str:
    """Return the content of a list file, from the paths as they are to be written, and their labels."""
    return "".join(f"{path} {label}\n" for path, label in examples)


def label_rows_text(examples: Iterable[tuple[str, str]]) -> str:
    """Return the content of a list file of multi-label data, from paths and values such as ``0,1,0``."""
    return "".join(f"{path}\t{values}\n" for path, values in examples)


def read_split_record(folder: Path) -> dict[str, Any]:
    """Read the ``split.json`` beside lists that hubtune made; empty without a readable one."""
    try:
        record = read_json(folder / SPLIT_FILE, MOST_LIST_BYTES)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


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
