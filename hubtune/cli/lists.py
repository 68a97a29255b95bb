"""The lists of a folder that a person names: those that were made for it, or those that would be."""

from collections.abc import Callable
from pathlib import Path

from hubtune.data.lists import TRAIN_LIST, read_paths
from hubtune.data.scan import scan_classes
from hubtune.data.split import Amount, Split, make_split

DEFAULT_SPLIT = {"validate": "10%", "test": "20%"}
"""What is taken for validation and test where no lists have been made."""


def base_of(folder: Path) -> Path | None:
    """The base folder of the lists that a folder has, or that name its pictures; ``None`` without any.

    Args:
        folder: a folder of lists, or of pictures with the lists beside it.
    """
    if (folder / TRAIN_LIST).exists():
        return folder
    beside = folder.resolve().parent
    if (beside / TRAIN_LIST).exists():
        listed = read_paths(beside / TRAIN_LIST, beside)
        if any(path.resolve().is_relative_to(folder.resolve()) for path in listed[:100]):
            return folder.parent if folder.name not in ("", "..") else beside
    return None


def default_split(folder: Path, advance: Callable[[int, int], None] | None = None) -> Split:
    """Divide a folder of pictures as is done where no lists have been made; nothing is written.

    Args:
        folder: a folder with a folder of pictures for each class.
        advance: called with the number of pictures that were read, and of all.

    Raises:
        DataError: if it cannot be divided.
    """
    validate, test = (Amount.parse(DEFAULT_SPLIT[name]) for name in ("validate", "test"))
    return make_split(scan_classes(folder, advance=advance), validate=validate, test=test)
