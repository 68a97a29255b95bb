"""Pictures whose files change while a run goes on, or between a run and its resumption."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from hubtune.data.listing import ImageEntry
from hubtune.log import logger
from hubtune.storage.atomic import replacing, sha256_of
from hubtune.text import escaped
from hubtune.train.skipped import in_rows

RECORD = ".pictures.npy"
CHANGED_FILE = "changed.csv"
_MOST_NAMES = 3
_GONE = (-1, 0)


class ChangedFiles:
    """Holds the sizes and times of a run's files against those at its beginning.

    A picture is always used as it is when it is read. One that has changed is named in ``changed.csv``, with
    the SHA-256 that it has now, and in the log.
    """

    def __init__(self, run: Path, examples: Mapping[str, Sequence[ImageEntry]], threads: int) -> None:
        """Take the lists; nothing is read yet.

        Args:
            run: the run folder.
            examples: the pictures of each list.
            threads: how many look at files; they hide the delay of a network share.
        """
        self._run, self._threads = run, threads
        self._listed = [(name, example.path) for name, some in examples.items() for example in some]
        self._told: set[tuple[str, Path]] = set()

    @property
    def count(self) -> int:
        """How many pictures have changed, as far as :meth:`check` was asked."""
        return len(self._told)

    def check(self, stop: Callable[[], None]) -> None:
        """Where a run begins, keep its files' sizes and times; later, tell which have others.

        Args:
            stop: called between pictures; may raise to stop.

        Raises:
            OSError: the run folder cannot be written.
        """
        now = np.fromiter(self._look(stop), np.dtype((np.int64, 2)), len(self._listed))
        before = self._recorded()
        if before is None or before.shape != now.shape:
            with replacing(self._run / RECORD) as file:
                np.save(file, now)
            return
        found = [self._listed[index] for index in np.flatnonzero((now != before).any(axis=1))]
        new = [entry for entry in found if entry not in self._told]
        if not new:
            return
        self._told.update(new)
        self._write(sorted(self._told))
        names = ", ".join(str(path) for _, path in new[:_MOST_NAMES])
        more = f" and {len(new) - _MOST_NAMES:,} more" if len(new) > _MOST_NAMES else ""
        logger.warning(
            "%d files have another size or time than when the run began, and are used as they are now; "
            "%s names all: %s%s",
            *(len(new), CHANGED_FILE, escaped(names), more),
        )

    def _look(self, stop: Callable[[], None]) -> Iterator[tuple[int, int]]:
        for found in in_rows([path for _, path in self._listed], _size_and_time, self._threads):
            stop()
            yield found

    def _recorded(self) -> np.ndarray | None:
        try:
            record: np.ndarray = np.load(self._run / RECORD, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # the run begins, or its record is damaged
            return None
        return record

    def _write(self, changed: Sequence[tuple[str, Path]]) -> None:
        with replacing(self._run / CHANGED_FILE) as out:
            text = io.TextIOWrapper(out, "utf-8", errors="surrogateescape", newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("list", "path", "sha256"))
            writer.writerows((name, str(path), _sum_of(path)) for name, path in changed)
            text.flush()
            text.detach()  # or it would close the file, which is still to be brought to the disk


def _size_and_time(path: Path) -> tuple[int, int]:
    """Size in bytes, and the time of the last change in nanoseconds."""
    try:
        status = path.stat()
    except OSError:
        return _GONE
    return status.st_size, status.st_mtime_ns


def _sum_of(path: Path) -> str:
    """The file's SHA-256, empty where it cannot be read."""
    try:
        # Opening a named pipe would wait for ever.
        return sha256_of(path) if path.is_file() else ""
    except OSError:
        return ""
