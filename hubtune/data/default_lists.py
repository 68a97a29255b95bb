"""The list files and label files of a folder, by the names that programs give them."""

from itertools import islice
from pathlib import Path

from hubtune.data.list_files import (
    LABEL_LIST,
    PADDLECLAS_VALIDATE_LIST,
    TEST_LIST,
    TRAIN_LIST,
    VALIDATE_LIST,
    split_line,
)
from hubtune.data.listed_paths import find_files

DEFAULT_FILES = {
    "train": (TRAIN_LIST, "train.txt"),
    "validate": (VALIDATE_LIST, PADDLECLAS_VALIDATE_LIST, "val.txt"),
    "test": (TEST_LIST, "test.txt"),
    "labels": (LABEL_LIST, "labels.txt", "labellist.txt", "label.txt", "classes.txt"),
}
"""The names of PaddleHub and hubtune, PaddleClas, PaddleX 2 and 3, and others."""

# Names that files of other content have, too: what is in them decides.
_AMBIGUOUS = frozenset({"train.txt", "val.txt", "test.txt", "labellist.txt", "label.txt", "classes.txt"})
_MOST_BYTES, _FIRST_LINES = 2**16, 20


def find_default(folder: Path, name: str) -> Path | None:
    """Return the file of a list, or of ``labels``, in a folder; ``None`` if there is none."""
    for file_name in DEFAULT_FILES.get(name, ()):
        file = folder / file_name
        if file.exists() and (file_name not in _AMBIGUOUS or _is_list(file) == (name != "labels")):
            return file
    return None


def has_lists(folder: Path) -> bool:
    """Whether a folder has a training list."""
    return find_default(folder, "train") is not None


def label_file_beside(list_file: Path) -> str | None:
    """Return the name of the label file beside a list, if there is one."""
    found = find_default(list_file.parent, "labels")
    return None if found is None or found.name == list_file.name else found.name


def _is_list(file: Path) -> bool:
    """Whether one of the first lines of a file names another file, with a label behind it."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(_MOST_BYTES).decode("utf-8-sig", "surrogateescape").split("\n")
    except OSError:
        return False
    # Several, as an image may be missing.
    first = islice((line.rstrip("\r") for line in lines if line.strip()), _FIRST_LINES)
    paths = [path for path, _ in map(split_line, first) if path]
    return any(path is not None for path in find_files(paths, file.parent).paths)
