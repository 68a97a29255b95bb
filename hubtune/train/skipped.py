"""The pictures of a run that could not be read."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hubtune.data.image import PictureError, check_header
from hubtune.data.lists import Example
from hubtune.data.loader import load_batches
from hubtune.errors import DataError
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig, parse_share
from hubtune.train.run_folder import RunFolder

_MANY_BAD = 50
# A header takes 40 µs, nearly all of it under Python's lock: threads hide the delay of a network share, but
# handed out one by one, pictures take three times as long as without threads.
_IN_A_ROW = 128


class Skipped:
    """The pictures that could not be read: named, counted, and held against the limit."""

    def __init__(self, run: RunFolder, examples: dict[str, list[Example]], config: RunConfig) -> None:
        """Start a count.

        Args:
            run: where ``skipped.csv`` goes.
            examples: the pictures of each list.
            config: says what is done with bad pictures, and how many may be.
        """
        self._run = run
        self._examples = examples
        self._config = config
        self._total = sum(map(len, examples.values()))
        # A resumed run goes on with what it has found before.
        self._entries = {(name, path): reason for name, path, reason in run.read_skipped()}

    def check_headers(self, check: Callable[[], None]) -> None:
        """Look at the header of every listed picture: most bad ones are known before the first step.

        Args:
            check: called between pictures; may raise to stop.

        Raises:
            DataError: if the recipe says to stop, or too many are bad.
        """
        listed = [(name, example.path) for name, examples in self._examples.items() for example in examples]
        errors = _header_errors([path for _, path in listed], self._config.workers + 2)
        bad = []
        for (name, _), error in zip(listed, errors, strict=True):
            check()
            if error and (name, error.path) not in self._entries:
                bad.append((name, error))
        if bad and self._config.bad_pictures == "stop":
            raise DataError(
                f"{len(bad)} of {self._total} pictures cannot be read, first {bad[0][1]}: repair or remove "
                "them (hubtune split leaves them out), or go on without them: -o data.bad_pictures=skip"
            )
        for name, error in bad:
            self._entries[name, error.path] = error.reason
            logger.warning("left out of %s: %s", name, error)
        self._save()
        self._check_limit()

    def add(self, name: str, error: PictureError) -> None:
        """Note a picture that could not be read.

        Raises:
            DataError: if the recipe says to stop, or too many are bad.
        """
        if (name, error.path) in self._entries:
            return
        self._entries[name, error.path] = error.reason
        logger.warning("left out of %s: %s", name, error)
        self._save()
        if self._config.bad_pictures == "stop":
            raise DataError(f"{error}: repair or remove it, or go on without it: -o data.bad_pictures=skip")
        self._check_limit()

    def _save(self) -> None:
        # Sorted: the order in which they are found depends on where a run was interrupted.
        self._run.write_skipped(
            sorted((name, path, reason) for (name, path), reason in self._entries.items())
        )

    def _check_limit(self) -> None:
        bad, share = len(self._entries), parse_share(self._config.max_bad)
        if bad > share * self._total or (bad > _MANY_BAD and share <= 0.01):
            (_, path), reason = next(iter(self._entries.items()))
            raise DataError(
                f"{bad} of {self._total} pictures cannot be read (first: {path}: {reason}), more than "
                f"data.max_bad allows. Repair or remove them (hubtune split leaves them out), or allow more: "
                f"-o data.max_bad={-(-bad * 100 // self._total)}%"
            )


def _header_errors(paths: Sequence[Path], threads: int) -> Iterator[PictureError | None]:
    """What is wrong with the header of each picture, in order."""
    rows = [paths[start : start + _IN_A_ROW] for start in range(0, len(paths), _IN_A_ROW)]
    # The loader does not wait for ever for a disk or share that does not answer.
    loaded = load_batches(
        [row[0] for row in rows],
        [[index] for index in range(len(rows))],
        lambda index: _errors_in_a_row(rows[index]),
        workers=threads,
    )
    for batch in loaded:
        for errors in batch.arrays:
            yield from errors


def _errors_in_a_row(paths: Sequence[Path]) -> list[PictureError | None]:
    return [_header_error(path) for path in paths]


def _header_error(path: Path) -> PictureError | None:
    try:
        check_header(path)
    except PictureError as error:
        return error
    return None
