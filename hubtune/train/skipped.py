"""The pictures of a run that could not be read."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_ends
from hubtune.data.listing import ImageEntry
from hubtune.data.loader import load_batches
from hubtune.data.splits.files import read_unreadable
from hubtune.errors import DataError
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig, parse_share
from hubtune.runs.folder import LISTS, RunFolder
from hubtune.text import escaped

UNLISTED = "no list"
"""Where ``skipped.csv`` would have the list of a picture that was bad before there were lists."""

_MANY_BAD, _SMALL_SHARE = 50, 0.01  # with such a share allowed, so many are enough
# Lines about bad pictures, and names in a line: skipped.csv has them all.
_MOST_REASONS, _MOST_NAMES = 8, 3
# A look takes 45 µs, nearly all of it under Python's lock: threads hide the delay of a network share, but
# handed out one by one, pictures take three times as long as without threads.
_IN_A_ROW = 128

T = TypeVar("T")


class BadImages:
    """The pictures that could not be read: named, counted, and held against the limit."""

    def __init__(self, run: RunFolder, examples: dict[str, list[ImageEntry]], config: RunConfig) -> None:
        """Start a count.

        Args:
            run: where ``skipped.csv`` goes.
            examples: the pictures of each list.
            config: says what is done with bad pictures, and how many may be.
        """
        self._run = run
        self._examples = examples
        self._config = config
        # Where the run has made its own lists, what it has left out of them is skipped as well.
        self._unlisted = [
            (UNLISTED, ImageError(entry.path, entry.reason)) for entry in read_unreadable(run.path / LISTS)
        ]
        self._total = sum(map(len, examples.values())) + len(self._unlisted)
        # A resumed run goes on with what it has found before, but for one that is to stop at each of them.
        known = [] if config.bad_pictures == "stop" else run.read_skipped()
        self._entries = {(name, path): reason for name, path, reason in known}

    def check_headers(self, check: Callable[[], None]) -> None:
        """Look at both ends of every listed file: nearly all bad ones are known before the first step.

        What is wrong is logged in a line for each reason.

        Args:
            check: called between pictures; may raise to stop.

        Raises:
            DataError: if the recipe says to stop, or too many are bad.
        """
        listed = [(name, example.path) for name, examples in self._examples.items() for example in examples]
        errors = in_rows([path for _, path in listed], _error_of, self._config.workers + 2)
        bad = [(name, error) for name, error in self._unlisted if (name, error.path) not in self._entries]
        for (name, _), error in zip(listed, errors, strict=True):
            check()
            if error and (name, error.path) not in self._entries:
                bad.append((name, error))
        self._entries |= {(name, error.path): error.reason for name, error in bad}
        self._save()
        _tell(bad)
        if bad and self._config.bad_pictures == "stop":
            raise DataError(
                f"{len(bad)} of {self._total} pictures cannot be read, first {bad[0][1]}: repair or remove "
                "them, go on without them by -o data.bad_pictures=skip, or make lists without them by "
                "hubtune split"
            )
        self._check_limit()

    def add(self, name: str, error: ImageError) -> None:
        """Note a picture that could not be read.

        Raises:
            DataError: if the recipe says to stop, or too many are bad.
        """
        if (name, error.path) in self._entries:
            return
        self._entries[name, error.path] = error.reason
        logger.warning("left out of %s: %s", name, escaped(str(error)))
        self._save()
        if self._config.bad_pictures == "stop":
            raise DataError(f"{error}: repair or remove it, or go on without it: -o data.bad_pictures=skip")
        self._check_limit()

    def counts(self) -> dict[str, int]:
        """How many pictures of each list could not be read so far."""
        found = Counter(name for name, _ in self._entries)
        return {
            name: found[name] for name in (*self._examples, UNLISTED) if name in self._examples or found[name]
        }

    def _save(self) -> None:
        # Sorted: the order in which they are found depends on where a run was interrupted.
        self._run.write_skipped(
            sorted((name, path, reason) for (name, path), reason in self._entries.items())
        )

    def _check_limit(self) -> None:
        bad, share = len(self._entries), parse_share(self._config.max_bad)
        if not (bad > share * self._total or (bad > _MANY_BAD and share <= _SMALL_SHARE)):
            return
        (_, path), reason = next(iter(self._entries.items()))
        told = f"{bad} of {self._total} pictures cannot be read (first: {path}: {reason})"
        if bad == self._total and set(self._entries.values()) == {"no such file"}:
            raise DataError(
                f"{told}: have the pictures been moved? Paths in lists start at the lists' folder; move them "
                "back, or run hubtune split again"
            )
        enough = max(2, -(-bad * 100 // self._total))  # at 1 %, more than 50 are too many all the same
        allowed = f"data.max_bad={self._config.max_bad}"
        if bad <= share * self._total:
            allowed += f" and at most {_MANY_BAD}"
        raise DataError(
            f"{told}, more than training goes on without ({allowed}); {self._run.path / 'skipped.csv'} has "
            f"them all. Repair or remove them, go on without them by -o data.max_bad={enough}%, or make "
            "lists without them by hubtune split"
        )


def in_list(name: str) -> str:
    """Where a picture is, for people: ``train``, …, or ``in no list``."""
    return "in no list" if name == UNLISTED else name


def in_rows(paths: Sequence[Path], look: Callable[[Path], T], threads: int) -> Iterator[T]:
    """What a quick look at each file finds, in order; the looks are taken in threads.

    Args:
        paths: the files.
        look: called in any thread; raises nothing.
        threads: how many.

    Raises:
        MachineError: if a file's disk or network share does not answer.
    """
    rows = [paths[start : start + _IN_A_ROW] for start in range(0, len(paths), _IN_A_ROW)]
    # The loader does not wait for ever.
    loaded = load_batches(
        [row[0] for row in rows],
        [[index] for index in range(len(rows))],
        lambda index: [look(path) for path in rows[index]],
        workers=threads,
    )
    for batch in loaded:
        for found in batch.arrays:
            yield from found


def _error_of(path: Path) -> ImageError | None:
    try:
        check_ends(path)
    except ImageError as error:
        return error
    return None


def _tell(bad: Sequence[tuple[str, ImageError]]) -> None:
    """Log what is wrong, the commonest reason first."""
    by_reason: dict[str, list[tuple[str, ImageError]]] = defaultdict(list)
    for name, error in bad:
        by_reason[error.reason].append((name, error))
    reasons = sorted(by_reason, key=lambda reason: -len(by_reason[reason]))
    for reason in reasons[:_MOST_REASONS]:
        found = by_reason[reason]
        counts = Counter(name for name, _ in found)
        lists = ", ".join(f"{count:,} {in_list(name)}" for name, count in counts.items())
        names = ", ".join(error.path for _, error in found[:_MOST_NAMES])
        more = f" and {len(found) - _MOST_NAMES:,} more" if len(found) > _MOST_NAMES else ""
        logger.warning("cannot be read (%s): %s: %s%s", lists, escaped(reason), escaped(names), more)
    if rest := sum(len(by_reason[reason]) for reason in reasons[_MOST_REASONS:]):
        logger.warning("cannot be read for other reasons: %d; skipped.csv has them all", rest)
