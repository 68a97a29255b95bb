"""The errors that a user can cause; each class has an exit code for the command line.

The library raises these; only the command line prints them. A message is one clear sentence that says what is
wrong and where, followed by what to do.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hubtune.text import escaped, set_variable, shortened, without_keys


class HubtuneError(Exception):
    """The base class of all errors that hubtune raises on purpose; none repeats the keys in an address."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(without_keys(message))


class UsageError(HubtuneError):
    """A command, an argument or a combination of arguments that cannot work."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe with mistakes, all of which are reported at once.

    Attributes:
        problems: one sentence per mistake, with its place.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = [without_keys(problem) for problem in problems]


class DataError(HubtuneError):
    """Images, folders, labels or list files that cannot be used."""

    exit_code = 3


class ModelError(HubtuneError):
    """A module, weights, a checkpoint or a saved model that cannot be used."""

    exit_code = 4


class MachineError(HubtuneError):
    """Something that the machine lacks: disk space, memory, a GPU, permissions, the network."""

    exit_code = 5


class RankFailedError(MachineError):
    """A process of a job that trains with several has died, or does not answer any more."""


class NumericError(HubtuneError):
    """Training failed numerically."""

    exit_code = 6


class LockedError(HubtuneError):
    """Another process is using a file or folder."""

    exit_code = 7


class CheckFailedError(HubtuneError):
    """The work finished, but a requested check failed."""

    exit_code = 8


class StoppedError(HubtuneError):
    """A signal stopped a run after its state was saved.

    Attributes:
        run: the run's folder, from which it can be resumed.
    """

    def __init__(self, message: str, exit_code: int, run: Path) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.run = run


def file_name_error(path: str, encoding: str) -> MachineError:
    """Return the error for a path that has characters which the encoding of file names here lacks."""
    return MachineError(
        f"No file can be named {shortened(path)} where the encoding of file names is {encoding}: "
        f"{set_variable('PYTHONUTF8', '1')}, and repeat the command"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a :class:`MachineError`: this path cannot be written."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror or error}") from error


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` with the most similar known word, or an empty string."""
    nearest = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{escaped(nearest[0])}'?" if nearest else ""
