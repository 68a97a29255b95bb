"""Checks of a run's image files: which cannot be read, and which change while the run goes on."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.images.verify import check_ends
from hubtune.data.listing import ImageEntry
from hubtune.data.loader import load_batches
from hubtune.data.scan.scan_cache import cached_sha256
from hubtune.data.shards.members import find_member
from hubtune.data.splits.files import read_unreadable
from hubtune.errors import DataError
from hubtune.log import logger
from hubtune.recipe.base import parse_share
from hubtune.recipe.schema import RunConfig
from hubtune.runs.folder import LISTS, RunFolder
from hubtune.storage.atomic import replacing, sha256_of, write_csv
from hubtune.storage.network_disk import network_disk
from hubtune.text import escaped, first_few

UNLISTED = "no list"
"""The list's name in ``skipped.csv`` for an image that was unreadable before there were lists."""
STAT_RECORD, CHANGED_FILE = ".pictures.npy", "changed.csv"

# However large a share of a long list is allowed: above 50, something is wrong with the data.
_MANY_BAD, _SMALL_SHARE = 50, 0.01
# Log lines about unreadable images, and file names in a line: skipped.csv has them all.
_MOST_REASONS, _MOST_NAMES = 8, 3
# A check takes 45 µs, nearly all of it under Python's lock. Threads hide the delay of a network share, but
# if they get one file at a time, the checks take three times as long as without threads.
_FILES_PER_TASK = 128
_MISSING = (-1, 0)
# On a network disk, each look at a file is a round trip, and the first step would wait for all of them.
_MOST_REMOTE = 10_000

T = TypeVar("T")


class BadImages:
    """The images of a run that cannot be read: recorded, counted and compared with the limit.

    A ``DataError`` ends the run if the recipe says to stop, or too many are bad.
    """

    def __init__(self, run: RunFolder, examples: dict[str, list[ImageEntry]], config: RunConfig) -> None:
        """Start with what earlier processes of the run recorded in its ``skipped.csv``."""
        self._run, self._examples, self._config = run, examples, config
        # If the run made its own lists, files that were left out of them count as skipped.
        self._unlisted = [
            (UNLISTED, ImageError(entry.path, entry.reason)) for entry in read_unreadable(run.path / LISTS)
        ]
        self._total = sum(map(len, examples.values())) + len(self._unlisted)
        # A run that stops at each bad image has to find them again.
        before = [] if config.bad_pictures == "stop" else run.read_skipped()
        self._entries = {(name, path): reason for name, path, reason in before}

    def check_headers(self, check: Callable[[], None]) -> list[int]:
        """Check both ends of every listed file, which finds nearly all bad ones before the first step.

        ``check`` is called between files, and may raise to stop.

        Returns:
            The bits that each 16-bit image uses.
        """
        listed = _sampled(
            [(name, example.path) for name, examples in self._examples.items() for example in examples]
        )
        if len(listed) < (count := sum(map(len, self._examples.values()))):
            logger.warning(
                "the pictures are on a network disk (%s): only one in %d of %s has been checked before the "
                "first step; the others are checked when they are read",
                *(network_disk(listed[0][1]), _step(count), f"{count:,}"),
            )
        checked = check_files([path for _, path in listed], _check_header, self._config.workers + 2)
        depths = []
        bad = [(name, error) for name, error in self._unlisted if (name, error.path) not in self._entries]
        for (name, _), result in zip(listed, checked, strict=True):
            check()
            if isinstance(result, int):
                depths += [result] * (result > 0)
            elif (name, result.path) not in self._entries:
                bad.append((name, result))
        self._entries |= {(name, error.path): error.reason for name, error in bad}
        self.save()
        _log_by_reason(bad)
        if bad and self._config.bad_pictures == "stop":
            raise DataError(
                f"{len(bad)} of {self._total} pictures cannot be read, first {bad[0][1]}: repair or remove "
                "them, continue without them by -o data.bad_pictures=skip, or make lists without them by "
                "hubtune split"
            )
        self._check_limit()
        return depths

    def add(self, name: str, error: ImageError) -> None:
        """Record an image of a list that cannot be read."""
        if (name, error.path) in self._entries:
            return
        self._entries[name, error.path] = error.reason
        logger.warning("left out of %s: %s", name, escaped(str(error)))
        self._run.append_skipped((name, error.path, error.reason))
        if self._config.bad_pictures == "stop":
            raise DataError(
                f"{error}: repair or remove it, or continue without it: -o data.bad_pictures=skip"
            )
        self._check_limit()

    def counts(self) -> dict[str, int]:
        """Number of unreadable images in each list so far."""
        return {**dict.fromkeys(self._examples, 0), **Counter(name for name, _ in self._entries)}

    def save(self) -> None:
        """Write ``skipped.csv`` in order: that in which they are found depends on where a run was stopped."""
        self._run.write_skipped(
            sorted((name, path, reason) for (name, path), reason in self._entries.items())
        )

    def _check_limit(self) -> None:
        bad, share = len(self._entries), parse_share(self._config.max_bad)
        if not (bad > share * self._total or (bad > _MANY_BAD and share <= _SMALL_SHARE)):
            return
        (_, path), reason = next(iter(self._entries.items()))
        problem = f"{bad} of {self._total} pictures cannot be read (first: {path}: {reason})"
        if bad == self._total and set(self._entries.values()) == {"no such file"}:
            raise DataError(
                f"{problem}: have the pictures been moved? Paths in lists start at the lists' folder; move "
                "them back, or run hubtune split again"
            )
        enough = max(2, -(-bad * 100 // self._total))  # at 1 %, more than 50 are still too many
        limit = f"data.max_bad={self._config.max_bad}"
        if bad <= share * self._total:
            limit += f" and at most {_MANY_BAD}"
        raise DataError(
            f"{problem}, more than the limit ({limit}); {self._run.path / 'skipped.csv'} lists them all. "
            f"Repair or remove them, continue without them by -o data.max_bad={enough}%, or make lists "
            "without them by hubtune split"
        )


class ChangedFiles:
    """Compares the size and time of a run's files with those at its beginning.

    An image is always used as it is when it is read. A changed one is named in the log and in
    ``changed.csv``, with its current SHA-256.
    """

    def __init__(self, run: Path, examples: Mapping[str, Sequence[ImageEntry]], threads: int) -> None:
        """Take the lists; no file is read yet. The threads hide the delay of a network share."""
        self._run, self._threads = run, threads
        self._listed = _sampled(
            [(name, example.path) for name, images in examples.items() for example in images]
        )
        self._changed: set[tuple[str, Path]] = set()

    @property
    def count(self) -> int:
        """Number of changed images at the latest :meth:`check`."""
        return len(self._changed)

    def check(self, stop: Callable[[], None]) -> None:
        """Record the files at the beginning of a run; later, report those that differ from the record.

        ``stop`` is called between files, and may raise to stop.
        """
        now = np.empty((len(self._listed), 2), np.int64)
        found = check_files([path for _, path in self._listed], _size_and_time, self._threads)
        for row, size_and_time in zip(now, found, strict=True):
            stop()
            row[:] = size_and_time
        before: np.ndarray | None = None
        with suppress(
            OSError, ValueError, EOFError, OverflowError
        ):  # the run begins, or its record is damaged
            # Mapped: a damaged header may claim any size, for which memory would be taken.
            before = np.array(np.load(self._run / STAT_RECORD, mmap_mode="r", allow_pickle=False))
        if before is None or before.shape != now.shape:
            with replacing(self._run / STAT_RECORD) as file:
                np.save(file, now)
            return
        changed = [self._listed[index] for index in np.flatnonzero((now != before).any(axis=1))]
        new = [entry for entry in changed if entry not in self._changed]
        if not new:
            return
        self._changed.update(new)
        rows = ((name, str(path), _current_sha256(path)) for name, path in sorted(self._changed))
        write_csv(self._run / CHANGED_FILE, ("list", "path", "sha256"), rows)
        logger.warning(
            "%d files have another size or time than when the run began, and are used as they are now; "
            "%s lists all: %s",
            *(len(new), CHANGED_FILE, escaped(first_few([str(path) for _, path in new], _MOST_NAMES))),
        )


def hash_images(images: Sequence[ImageEntry], check: Callable[[], None]) -> list[ImageEntry]:
    """Set the SHA-256 of all images; those that cannot be read stay without.

    A file that was scanned before and has not changed is not read again. ``check`` is called between files,
    and may raise to stop.
    """
    hashed = []
    for image, sha256 in zip(images, _known_sha256([image.path for image in images]), strict=True):
        check()
        with suppress(ImageError):  # reported where the image is decoded
            sha256 = image.sha256 or sha256 or hashlib.sha256(read_content(image.path)).hexdigest()
        hashed.append(replace(image, sha256=sha256))
    return hashed


def _known_sha256(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of images that were scanned or packed; empty for the others."""
    return [
        scanned or (member.sha256.hex() if (member := find_member(path)) is not None else "")
        for path, scanned in zip(paths, cached_sha256(paths), strict=True)
    ]


def list_title(name: str) -> str:
    """Name a list for people: ``train``, …, or ``in no list``."""
    return "in no list" if name == UNLISTED else name


def check_files(paths: Sequence[Path], check: Callable[[Path], T], threads: int) -> Iterator[T]:
    """Run a quick check, which must not raise, on many files in threads; the results come in order."""
    rows = [paths[start : start + _FILES_PER_TASK] for start in range(0, len(paths), _FILES_PER_TASK)]
    # The loader gives up on a file that never answers.
    loaded = load_batches(
        [row[0] for row in rows],
        [[index] for index in range(len(rows))],
        lambda index: [check(path) for path in rows[index]],
        workers=threads,
    )
    for batch in loaded:
        for results in batch.arrays:
            yield from results


def _sampled(listed: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Return the files to check before the first step: on a network disk, every k-th of many."""
    step = _step(len(listed))
    if step == 1 or network_disk(listed[0][1].parent) is None:
        return listed
    return listed[::step]


def _step(count: int) -> int:
    return -(-count // _MOST_REMOTE)


def _check_header(path: Path) -> int | ImageError:
    try:
        if (member := find_member(path)) is None:
            return check_ends(path)
        return ImageError(path, member.problem) if member.problem else member.bits  # checked when packed
    except ImageError as error:
        return error


def _size_and_time(path: Path) -> tuple[int, int]:
    """Size in bytes, and time of the last change in nanoseconds."""
    if (member := find_member(path)) is not None:  # the content's sum instead of a time
        return member.size, int.from_bytes(member.sha256[:7], "big")
    try:
        status = path.stat()
    except OSError:
        return _MISSING
    return status.st_size, status.st_mtime_ns


def _current_sha256(path: Path) -> str:
    """The file's SHA-256; empty if it cannot be read."""
    if (member := find_member(path)) is not None:
        return member.sha256.hex()
    try:
        # Opening a named pipe would block for ever.
        return sha256_of(path) if path.is_file() else ""
    except OSError:
        return ""


def _log_by_reason(bad: Sequence[tuple[str, ImageError]]) -> None:
    by_reason: dict[str, list[tuple[str, ImageError]]] = defaultdict(list)
    for name, error in bad:
        by_reason[error.reason].append((name, error))
    groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
    for reason, entries in groups[:_MOST_REASONS]:
        counts = Counter(name for name, _ in entries)
        lists = ", ".join(f"{count:,} {list_title(name)}" for name, count in counts.items())
        names = first_few([str(error.path) for _, error in entries], _MOST_NAMES)
        logger.warning("cannot be read (%s): %s: %s", lists, escaped(reason), escaped(names))
    if rest := sum(len(entries) for _, entries in groups[_MOST_REASONS:]):
        logger.warning("cannot be read for other reasons: %d; skipped.csv lists them all", rest)
