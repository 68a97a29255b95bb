"""A space: what is kept of the pictures under one description, found by the pictures' content."""

import contextlib
import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from hubtune.inference.shard import (
    KEY_BYTES,
    SUM_BYTES,
    Damaged,
    Shard,
    checksums_of,
    open_shard,
    remove_shard,
    sound_rows,
    starts_of,
)
from hubtune.inference.store import Store, shard_entries
from hubtune.log import logger

MERGE_ABOVE = 16
"""So many shards of one shape that are less than half full are merged."""

_Rows = dict[bytes, np.ndarray]


class Space:
    """Values of pictures that all depend on the same facts; a context manager that flushes at its end.

    Pictures are known by the SHA-256 of their files' content. What other processes have finished is found
    when the space is opened.

    Made by :meth:`hubtune.inference.feature_cache.FeatureCache.space`.
    """

    def __init__(self, store: Store, description: Mapping[str, Any]) -> None:
        self.folder = store.folder / name_of(description)
        self._store = store
        self._description = json.dumps(description, indent=1, sort_keys=True) + "\n"
        self._lock = threading.Lock()  # of the index and the buffer; held for microseconds
        self._writing = threading.Lock()
        self._buffer: _Rows = {}
        self._buffered_bytes = 0
        self._damage_told: set[Path] = set()
        self._index = self._read_index()
        store.opened([shard.keys_file for shard in self._index.shards])

    def __enter__(self) -> "Space":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def get(self, key: bytes) -> np.ndarray | None:
        """Return what was kept of a picture, as a copy; ``None`` where nothing was, or it is damaged.

        May be called from several threads.

        Args:
            key: the SHA-256 of the picture file's content, 32 bytes.
        """
        while True:
            with self._lock:
                values = self._buffer.get(key)
                index = self._index
                found = [] if values is not None else index.find(key)
            if values is not None:
                return values.copy()
            removed = False
            for shard, row, checksum in found:
                try:
                    values = shard.row(row, key, checksum)
                except FileNotFoundError:
                    removed = True
                except (OSError, Damaged) as error:
                    self._tell_damage(shard, error)
                else:
                    self._store.use(shard.keys_file)
                    return values
            if not removed:
                return None
            # Another process has merged or evicted it; the index that is read now does not have it any more.
            self._read_again(index)

    def put(self, key: bytes, values: np.ndarray) -> None:
        """Keep what was computed of a picture.

        It is written with others, at the latest by :meth:`flush`. May be called from several threads.

        Args:
            key: as for :meth:`get`.
            values: floats of any shape; they are copied.

        Raises:
            ValueError: the key is no SHA-256, or the values are no floats.
        """
        if len(key) != KEY_BYTES or values.dtype.kind != "f" or not values.size:
            raise ValueError(f"floats under a key of {KEY_BYTES} bytes are kept, not {values.dtype}")
        if not self._store.keeps:
            return
        values = np.array(values, order="C")
        with self._lock:
            self._drop(key)
            self._buffer[key] = values
            self._buffered_bytes += _bytes(values)
            full = self._buffered_bytes >= self._store.shard_bytes
        if full:
            with self._writing:
                # Another thread may have written meanwhile.
                if self._buffered_bytes >= self._store.shard_bytes:
                    self._write(everything=False)

    def flush(self) -> None:
        """Write what is not on the disk yet; when this returns, it survives a loss of power.

        Where it cannot be written or does not fit, it is told in the log, and the values are gone.
        """
        with self._writing:
            self._write(everything=True)
            self._merge()

    def _write(self, *, everything: bool) -> None:
        """Write the buffer, a shard for each shape; or only the fullest ones, until half of it is written."""
        groups: defaultdict[tuple[Any, ...], _Rows] = defaultdict(dict)
        with self._lock:
            for key, values in self._buffer.items():
                groups[values.shape, values.dtype.str][key] = values
            enough = 0 if everything else self._buffered_bytes // 2
        for rows in sorted(groups.values(), key=_size, reverse=True):
            if not everything and self._buffered_bytes <= enough:
                break
            shard = self._store.keep(self.folder, self._description, rows)
            if shard is None:
                self._store.tell_full(len(rows))
            index = self._index if shard is None else _Index([shard], self._index)
            with self._lock:
                self._index = index
                for key, values in rows.items():
                    if self._buffer.get(key) is values:
                        self._drop(key)

    def _drop(self, key: bytes) -> None:
        values = self._buffer.pop(key, None)
        if values is not None:
            self._buffered_bytes -= _bytes(values)

    def _merge(self) -> None:
        """Make few shards of many small ones; what is damaged or there twice is left out."""
        if not self._store.keeps or not _mergeable(self._index.shards, self._store.shard_bytes):
            return
        try:
            with FileLock(self._store.merge_lock).acquire(timeout=0):
                index = self._read_index()  # another process may just have merged them
                for shards in _mergeable(index.shards, self._store.shard_bytes):
                    self._merge_into_one(shards)
                index = self._read_index()
        except (Timeout, OSError, NotImplementedError):  # the last: a file system without locks
            return
        with self._lock:
            self._index = index

    def _merge_into_one(self, shards: Sequence[Shard]) -> None:
        rows: _Rows = {}
        merged = []
        for shard in shards:
            if _size(rows) + shard.size > self._store.shard_bytes:
                break
            with contextlib.suppress(FileNotFoundError, Damaged):  # evicted meanwhile, or useless
                rows |= dict(sound_rows(shard))
            merged.append(shard)
        if rows and self._store.keep(self.folder, self._description, rows) is None:
            return
        for shard in merged:
            remove_shard(shard.keys_file)

    def _read_index(self) -> "_Index":
        if not self._store.limit:
            return _Index([])
        entries = sorted(shard_entries(self.folder), key=lambda entry: entry.used, reverse=True)
        return _Index([shard for entry in entries if entry.whole and (shard := open_or_remove(entry.path))])

    def _read_again(self, old: "_Index") -> None:
        with self._writing, self._lock:
            if self._index is old:  # else another thread was quicker
                self._index = self._read_index()

    def _tell_damage(self, shard: Shard, error: Exception) -> None:
        with self._lock:
            if shard.keys_file in self._damage_told:
                return
            self._damage_told.add(shard.keys_file)
        reason = error.strerror if isinstance(error, OSError) else error
        logger.info("What was kept of some pictures is damaged (%s): it is computed again.", reason)
        logger.debug("damaged: %s", shard.keys_file)


class _Index:
    """Where the rows of shards are: 24 bytes a row, in the order of the keys' first eight bytes.

    A dictionary of a million keys takes seven times as much memory, and a lookup is short beside the reading
    of the row. Keys that begin alike are told apart by the row's checksum, which depends on the whole key.
    """

    def __init__(self, shards: Sequence[Shard], older: "_Index | None" = None) -> None:
        self.shards: list[Shard] = [*(older.shards if older else [])]
        parts: list[tuple[np.ndarray, ...]] = []
        for shard in shards:
            try:
                keys = shard.keys()
            except (OSError, Damaged):  # it was removed meanwhile
                continue
            parts.append(
                (
                    starts_of(keys),
                    checksums_of(keys),
                    np.full(len(keys), len(self.shards), np.int32),
                    np.arange(len(keys), dtype=np.int32),
                )
            )
            self.shards.append(shard)
        nothing = tuple(np.zeros(0, kind) for kind in (np.uint64, np.uint64, np.int32, np.int32))
        parts.append(older._columns if older else nothing)
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        # Stable, so that of rows with the same key the newest is found first.
        order = np.argsort(columns[0], kind="stable")
        self._columns: tuple[np.ndarray, ...] = tuple(column[order] for column in columns)

    def find(self, key: bytes) -> list[tuple[Shard, int, int]]:
        """Return shard, row and checksum of the rows that may be of a key."""
        start = np.uint64(int.from_bytes(key[:8], "big"))  # as starts_of has it
        starts, sums, shards, rows = self._columns
        position, found = int(np.searchsorted(starts, start)), []
        while position < len(starts) and starts[position] == start:
            found.append((self.shards[shards[position]], int(rows[position]), int(sums[position])))
            position += 1
        return found


def name_of(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of facts, the same whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def open_or_remove(keys_file: Path) -> Shard | None:
    """Return a shard; ``None`` where it cannot be read, and what is damaged is removed."""
    try:
        return open_shard(keys_file)
    except FileNotFoundError:  # another process is removing it, or was killed while it did
        remove_shard(keys_file)
    except Damaged as damage:
        remove_shard(keys_file)
        logger.info("Kept features were damaged (%s) and are removed: they are computed again.", damage)
        logger.debug("removed: %s", keys_file)
    except OSError:  # the next process may be able to
        pass
    return None


def _mergeable(shards: Sequence[Shard], most_bytes: int) -> list[list[Shard]]:
    """Groups of too many small shards of one shape and type, the smallest first."""
    groups: defaultdict[tuple[Any, ...], list[Shard]] = defaultdict(list)
    for shard in sorted(shards, key=lambda shard: shard.size):
        if shard.size < most_bytes // 2:
            groups[shard.shape, shard.dtype.str].append(shard)
    return [group for group in groups.values() if len(group) > MERGE_ABOVE]


def _bytes(values: np.ndarray) -> int:
    return values.nbytes + KEY_BYTES + SUM_BYTES


def _size(rows: _Rows) -> int:
    return sum(map(_bytes, rows.values()))
