"""Folders that are written must be new or empty: nothing of a person's is overwritten or mixed with."""

from pathlib import Path

from hubtune.errors import MachineError, UsageError
from hubtune.storage.checked_folder import find_checked


def is_occupied(folder: Path) -> bool:
    """Whether there is a file in a folder's place, or something in the folder; raises OSError."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def check_unoccupied(folder: Path) -> None:
    """Refuse a folder that has something in it.

    Raises:
        UsageError: there is something, or it is a file.
        MachineError: the folder cannot be opened.
    """
    try:
        occupied = is_occupied(folder)
    except OSError as error:
        raise MachineError(f"{folder} cannot be opened ({error.strerror}): choose another folder") from error
    if occupied:
        raise UsageError(f"{folder} holds something already: choose a new folder, or empty this one")


def check_no_model(folder: Path) -> None:
    """Raise UsageError if a model cannot be written to a folder without replacing what is there."""
    if is_occupied(find_checked(folder)):
        raise UsageError(f"{folder} is there already: name a folder that is not, or an empty one")
