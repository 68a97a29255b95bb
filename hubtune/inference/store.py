"""The folder of the feature cache: what lies in it, kept within its limit."""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.inference.shard import (
    SHARD_BYTES,
    Damaged,
    Shard,
    is_keys_file,
    is_values_file,
    open_shard,
    remove,
    remove_shard,
    values_of,
    write_shard,
)
from hubtune.log import logger
from hubtune.storage.atomic import write_atomically
from hubtune.text import format_bytes

DESCRIPTION = "space.json"
NOTES = "notes"
_MERGE_LOCK = "merge.lock"
_LEFT_SECONDS = 3600  # what is not whole after this is of a process that was killed
_SPACE_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """Something in the folder that can be removed on its own.

    Attributes:
        path: a shard's file of keys, a note, or what a process is still writing.
        bytes: its size on the disk.
        used: when it was last used, in seconds since 1970.
        whole: whether it is a shard or a note, and not still being written.
    """

    path: Path
    bytes: int
    used: float
    whole: bool

    @property
    def left(self) -> bool:
        """Whether a killed process has left it."""
        return not self.whole and time.time() - self.used > _LEFT_SECONDS

    @property
    def readable(self) -> bool:
        """Whether it is no shard whose files are damaged as far as headers and sizes tell."""
        try:
            if is_keys_file(self.path):
                open_shard(self.path)
        except (FileNotFoundError, Damaged):
            return False
        except OSError:  # the next process may be able to
            pass
        return True

    def remove(self) -> bool:
        """Remove it; returns whether it is gone."""
        return remove_shard(self.path) if is_keys_file(self.path) else remove(self.path)


class Store:
    """The folder, as one run uses it.

    A folder that cannot be written is told once and then left alone.

    Attributes:
        folder: the folder; it is made when something is kept.
        limit: the most bytes that shards and notes take.
        shard_bytes: the most bytes of a shard that this limit suggests.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        # So that evicting one makes a small part of a small cache empty.
        self.shard_bytes = max(1, min(SHARD_BYTES, limit // 8))
        self.merge_lock = folder / _MERGE_LOCK
        self._in_use: set[Path] = set()
        self._failed = False
        self._told_full = False

    @property
    def keeps(self) -> bool:
        """Whether what is given to it has a chance to be kept."""
        return self.limit > 0 and not self._failed

    def spaces(self) -> list[Path]:
        """Return the folders of the spaces."""
        return sorted(
            Path(item.path)
            for item in _listed(self.folder)
            if _SPACE_NAME.fullmatch(item.name) and item.is_dir(follow_symlinks=False)
        )

    def entries(self) -> Iterator[Entry]:
        """Yield everything that takes space."""
        for space in self.spaces():
            yield from shard_entries(space)
        for item in _listed(self.folder / NOTES):
            facts = _facts(item)
            if facts is not None:
                yield Entry(Path(item.path), facts.st_size, facts.st_mtime, item.name.endswith(".json"))

    def keep(self, space: Path, description: str, rows: Mapping[bytes, np.ndarray]) -> Shard | None:
        """Write rows of one shape and type as a shard; returns ``None`` where it was not kept.

        Args:
            space: the folder of the space.
            description: what is written beside the shards, as JSON.
            rows: key → values; at least one.
        """
        if not self.keeps:
            return None
        try:
            for last in (False, True):
                try:
                    _describe(space, description)
                    return write_shard(space, rows, self._make_room)
                except FileNotFoundError:  # another process has just removed the empty space
                    if last:
                        raise
        except OSError as error:
            self._give_up(error)
        return None

    def remove_empty_spaces(self) -> None:
        """Remove the folders of spaces that have nothing left."""
        for space in self.spaces():
            if not any(shard_entries(space)):
                remove(space / DESCRIPTION)
                with contextlib.suppress(OSError):  # another process has just begun to write
                    space.rmdir()

    def keep_note(self, path: Path, content: str) -> None:
        """Write a note."""
        if not self.keeps or len(content) > self.limit:
            return
        try:
            _write(path, content)
        except OSError as error:
            self._give_up(error)
        else:
            if not self._make_room(path):
                remove(path)

    def use(self, path: Path) -> None:
        """Take note that a shard or a note was used just now."""
        if path not in self._in_use:
            self._in_use.add(path)
            with contextlib.suppress(OSError):  # a cache that is shared read-only can be used all the same
                os.utime(path)

    def opened(self, shards: Sequence[Path]) -> None:
        """Take note that a space was opened: its shards count as used now, and keep their order.

        Args:
            shards: their files of keys, the one used last first.
        """
        now = time.time_ns()
        for rank, path in enumerate(shards):
            with contextlib.suppress(OSError):
                os.utime(path, ns=(now - 1000 * rank, now - 1000 * rank))

    def _make_room(self, newest: Path) -> bool:
        """Remove what was not used for the longest time until all fits; returns whether it does.

        What this run has used or written stays: a run that needs more than fits would otherwise remove
        each time what the next one asks for first, and never find anything.
        """
        self._in_use.add(newest)
        total, candidates = 0, []
        for entry in self.entries():
            if entry.left and entry.remove():
                continue
            total += entry.bytes
            if entry.whole and entry.path not in self._in_use:
                candidates.append(entry)
        if total - sum(entry.bytes for entry in candidates) > self.limit:
            return False
        for entry in sorted(candidates, key=lambda entry: entry.used):
            if total <= self.limit:
                break
            if entry.remove():
                total -= entry.bytes
        return total <= self.limit

    def tell_full(self, count: int) -> None:
        """Say once that the features of so many pictures did not fit."""
        if self.keeps and not self._told_full:
            self._told_full = True
            logger.info(
                "The feature cache is full (%s): features of %s pictures and what follows are not kept, and "
                "the next run computes them again. HUBTUNE_CACHE_SIZE sets its limit.",
                format_bytes(self.limit),
                f"{count:,}",
            )

    def _give_up(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            logger.warning(
                "Features cannot be kept in %s (%s): the run goes on without, and the next one computes them "
                "again. Free some space, or set HUBTUNE_HOME to a folder that can be written.",
                self.folder,
                error.strerror or error,
            )


def shard_entries(space: Path) -> Iterator[Entry]:
    """Yield the shards of a space, and what is still being written there or was left."""
    sizes = {Path(item.path): facts for item in _listed(space) if (facts := _facts(item)) is not None}
    of_shards = {values_of(path) for path in sizes if is_keys_file(path)}
    for path, facts in sizes.items():
        if is_keys_file(path):
            values = sizes.get(values_of(path))
            size = facts.st_size + (values.st_size if values else 0)
            yield Entry(path, size, facts.st_mtime, whole=True)
        elif path.suffix == ".tmp" or (is_values_file(path) and path not in of_shards):
            yield Entry(path, facts.st_size, facts.st_mtime, whole=False)


def _describe(space: Path, description: str) -> None:
    file = space / DESCRIPTION
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if file.read_text(encoding="utf-8") == description:
            return
    _write(file, description)


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        remove(file)
    write_atomically(file, content)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError:  # there is none, or it cannot be read
        return []


def _facts(item: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return item.stat(follow_symlinks=False)
    except OSError:  # another process has removed it
        return None
