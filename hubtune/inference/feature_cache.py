"""The feature cache: outputs of a frozen network are computed once for each image, and then read.

All of it is one SQLite file, ``$HUBTUNE_HOME/features/features.sqlite``. An output is found by the SHA-256 of
its image's file content within a *space*: outputs that depend on the same facts, such as module, weights,
layer, view and engine. Each row has a checksum, which is compared whenever the row is read. Any number of
processes may use the file at once. Nothing is executed or unpickled.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.storage.cache_folder import cache_root, size_on_disk
from hubtune.storage.sqlite import CacheDatabase
from hubtune.text import format_bytes, parse_bytes

DEFAULT_LIMIT = 10 * 10**9
FILE_NAME = "features.sqlite"

_VARIABLE = "HUBTUNE_CACHE_SIZE"
_KEY_BYTES = 32
_CHECKSUM_BYTES = 8
# Rows are written, and removed to make room, in batches of about this size; each open space may hold one in
# memory. A transaction waits for the disk twice, which a batch makes rare.
_BATCH_BYTES = 16 * 2**20

# Raised with the tables' columns.
_SCHEMA_VERSION = 1
_TABLES = (
    # Numbers are never given twice, so that what a process has read cannot be another process's batch.
    "CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, space BLOB, description BLOB, used REAL)",
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, key BLOB UNIQUE, batch INTEGER, bytes INTEGER, "
    "checksum BLOB, dtype BLOB, shape BLOB, data BLOB)",
    # With the sizes in it, no row has to be read to list or to remove a batch.
    "CREATE INDEX entries_by_batch ON entries (batch, bytes)",
)

# Older versions had a folder of .npy files for each space.
_OLD_SPACE = re.compile(r"[0-9a-f]{64}")
_OLD_NAMES = ("notes", "merge.lock")

# Bytes of the pages that hold something.
_USED_BYTES = (
    "SELECT (page_count - freelist_count) * page_size "
    "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)

_NOTES = {"what": "notes"}


@dataclass(frozen=True)
class SpaceSummary:
    """What a space holds.

    Attributes:
        name: SHA-256 of its description.
        description: the facts that its outputs depend on; empty where they cannot be read.
        images: number of images.
        bytes: size of their outputs.
        used: when one of them was last read or written, in seconds since 1970.
    """

    name: str
    description: dict[str, Any]
    images: int
    bytes: int
    used: float


Content = tuple[bytes, bytes, bytes | memoryview]
"""Type, shape and values of an output; the type and the shape of a note are empty."""


class _CacheFullError(Exception):
    """The limit leaves no room for a batch."""


class FeatureCache:
    """The cache as one run uses it.

    A cache that is damaged, full, or cannot be read or written never fails a run: the run computes what it
    does not find. Messages about it are logged once.

    Args:
        folder: where the file is; default: ``features`` in :func:`~hubtune.storage.cache_folder.cache_root`.
        limit: the most bytes that the file may take, 0 for no cache; default: ``HUBTUNE_CACHE_SIZE``, or
            10 GB.

    Raises:
        UsageError: the variable does not hold a size.
        MachineError: no folder is given, and this user has no home folder.

    Example:
        >>> with FeatureCache().space({"module": "resnet50_imagenet", "view": "whole 288"}) as space:
        ...     values = space.get(key)
        ...     if values is None:
        ...         space.put(key, values := compute(image))
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = cache_root() / "features" if folder is None else folder
        self.limit = limit_from_environment() if limit is None else limit
        self.database = CacheDatabase(self.folder / FILE_NAME, _TABLES, _SCHEMA_VERSION)
        # Batches that this run has read or written, and those whose time of use the file has already.
        self._in_use: set[int] = set()
        self._touched: set[int] = set()
        self._logged: set[str] = set()

    @property
    def writable(self) -> bool:
        """Whether the limit is above 0, and nothing has failed so far."""
        return self.limit > 0 and self.database.error is None

    def space(self, description: Mapping[str, Any]) -> "Space":
        """Open the space of outputs that depend on these facts.

        Args:
            description: all that the outputs depend on, as JSON can hold it. ``hubtune cache ls`` shows
                ``module``, ``layer``, ``view`` and ``engine``.
        """
        return Space(self, description)

    def note(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result that was stored under a key; ``None`` where there is none, or it is damaged."""
        content = self.read_row(_row_key(_digest(_NOTES), _digest(key)))
        return None if content is None else json.loads(bytes(content[2]))

    def put_note(self, key: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Store a small result under a key, in place of an older one.

        Args:
            key: all that the result depends on, as JSON can hold it.
            document: the result, the same.
        """
        content = (b"", b"", json.dumps(document).encode())
        self.write_rows(_NOTES, {_row_key(_digest(_NOTES), _digest(key)): content})

    def spaces(self) -> list[SpaceSummary]:
        """Return what is stored, the space that was used last first."""
        rows = self.database.read(
            "SELECT space, description, count(*), sum(bytes), CAST(max(used) AS REAL) FROM batches JOIN "
            "entries ON entries.batch = batches.id WHERE space <> ? GROUP BY space ORDER BY max(used) DESC",
            (_digest(_NOTES).hex().encode(),),
        )
        now = time.time()
        return [
            SpaceSummary(name.decode(errors="replace"), _parse(facts), images, size, min(max(used, 0.0), now))
            for name, facts, images, size, used in rows
        ]

    def size(self) -> int:
        """Return the bytes on the disk, the files of older versions included."""
        return sum(map(size_on_disk, [self.database.file, *self._old_files()]))

    def prune(
        self, *, unused_since: float | None = None, keep: int | None = None, dry_run: bool = False
    ) -> tuple[int, int]:
        """Remove the files of older versions, and then what was not used for the longest time.

        Args:
            unused_since: remove what was last used before this time, in seconds since 1970.
            keep: then remove more until the file has at most this many bytes; default: the limit.
            dry_run: remove nothing, and return what would be removed; its size is estimated.

        Returns:
            Number of batches and of files and folders of older versions that were removed, and their bytes.
        """
        keep = self.limit if keep is None else keep
        before, old_files = self.size(), list(self._old_files())
        batches = self.database.read(
            "SELECT batches.id, used, coalesce(sum(bytes), 0) FROM batches "
            "LEFT JOIN entries ON entries.batch = batches.id GROUP BY batches.id ORDER BY used"
        )
        total = left = sum(size for _, _, size in batches)
        # Keys, indices and pages that are not full count in proportion.
        scale = self.database.read(_USED_BYTES)[0][0] / total if total else 0.0
        removed = []
        for batch, used, size in batches:
            if left * scale <= keep and (unused_since is None or used >= unused_since):
                break
            removed.append(batch)
            left -= size
        if dry_run:
            freed = round((total - left) * scale) + sum(map(size_on_disk, old_files))
            return len(removed) + len(old_files), freed
        if removed and self.database.write(partial(_delete_batches, removed)) is None:
            removed = []
        if batches:
            self.database.shrink()
        for path in old_files:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(removed) + len(old_files) + self.database.replaced, before - self.size()

    def verify(self) -> Iterator[tuple[SpaceSummary, int, int]]:
        """Read every row, and remove those that are damaged.

        Yields:
            Each space, how many of its rows are damaged, and how many of those could be removed. Where the
            file is damaged as a whole, ``database.replaced`` says so.
        """
        entries = "SELECT id, key, checksum, dtype, shape, data FROM entries WHERE batch = ?"
        for space in self.spaces():
            batches = self.database.read("SELECT id FROM batches WHERE space = ?", (space.name.encode(),))
            damaged = [
                number
                for batch in batches
                for number, key, checksum, *content in self.database.read(entries, batch)
                if not _is_intact(key, checksum, content)
            ]
            removed = self.database.write(partial(_delete_entries, damaged)) if damaged else 0
            yield space, len(damaged), removed or 0

    def read_row(self, key: bytes) -> Content | None:
        """Return the content of a row as it was written; ``None`` where there is none, or it is damaged."""
        if not self.limit:
            return None
        question = "SELECT batch, checksum, dtype, shape, data FROM entries WHERE key = ?"  # one or none
        for batch, checksum, dtype, shape, data in self.database.read(question, (key,)):
            if _is_intact(key, checksum, (dtype, shape, data)):
                self._in_use.add(batch)
                return dtype, shape, data
            self._log_once(logging.INFO, "Some stored features are damaged: they are computed again.")
        self._log_error()
        return None

    def write_rows(self, description: Mapping[str, Any], rows: Mapping[bytes, Content]) -> None:
        """Write rows as one batch of a space; those with the same keys are replaced.

        Args:
            description: the facts of the space.
            rows: key of the row → content.
        """
        if not rows or not self.limit:
            return
        size = sum(len(data) for _, _, data in rows.values())
        name, facts = _digest(description).hex().encode(), json.dumps(description, sort_keys=True).encode()

        def insert(database: sqlite3.Connection) -> None:
            self._make_room(database, size)
            batch = database.execute(
                "INSERT INTO batches (space, description, used) VALUES (?, ?, ?)", (name, facts, time.time())
            ).lastrowid
            assert batch is not None
            self._in_use.add(batch)
            self._touched.add(batch)
            database.executemany(
                "INSERT OR REPLACE INTO entries (batch, bytes, key, checksum, dtype, shape, data) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (batch, len(content[2]), key, _checksum(key, *content), *content)
                    for key, content in rows.items()
                ),
            )
            self._make_room(database, 0)  # for keys and indices, too

        try:
            self.database.write(insert)
        except _CacheFullError:
            self._log_once(
                logging.INFO,
                "The feature cache is full (%s): further features are not stored, and the next run computes "
                "them again. HUBTUNE_CACHE_SIZE sets its limit.",
                format_bytes(self.limit),
            )
        if size_on_disk(self.database.file) > self.limit:
            self.database.shrink()
        self._log_error()

    def touch(self) -> None:
        """Write the time of use of the batches that this run has read."""
        batches = self._in_use - self._touched
        if batches and self.writable:
            values = [(time.time(), batch) for batch in batches]
            statement = "UPDATE batches SET used = ? WHERE id = ?"
            self.database.write(lambda database: database.executemany(statement, values))
            self._touched |= batches

    def _make_room(self, database: sqlite3.Connection, wanted: int) -> None:
        """Remove what was not used for the longest time until this many more bytes fit.

        What this run has used stays. Otherwise a run that needs more than the limit would always remove what
        the next run asks for first, and never find anything.

        Raises:
            _CacheFullError: they do not fit; the transaction is to be undone.
        """
        ids = [batch for [batch] in database.execute("SELECT id FROM batches ORDER BY used DESC")]
        newest_first = [batch for batch in ids if batch not in self._in_use]
        while database.execute(_USED_BYTES).fetchone()[0] + wanted > self.limit:
            if not newest_first or wanted > self.limit:
                raise _CacheFullError
            _delete_batches([newest_first.pop()], database)

    def _old_files(self) -> Iterator[Path]:
        """What older versions have left in the folder."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.name in _OLD_NAMES or (_OLD_SPACE.fullmatch(path.name) and path.is_dir()):
                    yield path

    def _log_error(self) -> None:
        if self.database.error is not None:
            self._log_once(
                logging.WARNING,
                "Features cannot be stored in %s (%s): the run goes on without, and the next one computes "
                "them again. Free some space, or set HUBTUNE_HOME to a folder that can be written.",
                *(self.folder, self.database.error),
            )

    def _log_once(self, level: int, message: str, *values: object) -> None:
        if message not in self._logged:
            self._logged.add(message)
            logger.log(level, message, *values)


class Space:
    """Outputs that depend on the same facts; a context manager that writes what is missing at its end.

    Made by :meth:`FeatureCache.space`. Its methods may be called from several threads.

    Attributes:
        name: SHA-256 of its description.
    """

    def __init__(self, cache: FeatureCache, description: Mapping[str, Any]) -> None:
        self._digest = _digest(description)
        self.name = self._digest.hex()
        self._cache, self._description = cache, description
        # A small part of a small limit, as batches are removed whole.
        self._batch_bytes = max(1, min(_BATCH_BYTES, cache.limit // 8))
        self._lock = threading.Lock()  # of what is not written yet
        self._rows: dict[bytes, np.ndarray] = {}
        self._bytes = 0

    def __enter__(self) -> "Space":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def get(self, key: bytes) -> np.ndarray | None:
        """Return the output of an image, as a copy; ``None`` where it is not stored, or is damaged.

        Args:
            key: SHA-256 of the image file's content, 32 bytes.
        """
        with self._lock:
            values = self._rows.get(key)
        if values is not None:
            return values.copy()
        content = self._cache.read_row(_row_key(self._digest, key))
        if content is None:
            return None
        # An array over a bytearray can be written to, which one over bytes cannot.
        dtype, shape, data = content
        return np.frombuffer(bytearray(data), np.dtype(dtype.decode())).reshape(json.loads(shape))

    def put(self, key: bytes, values: np.ndarray) -> None:
        """Store the output of an image. It is written with others, at the latest by :meth:`flush`.

        Args:
            key: as for :meth:`get`.
            values: floats of any shape; they are copied.

        Raises:
            ValueError: the key is not a SHA-256, or the values are not floats.
        """
        if len(key) != _KEY_BYTES or values.dtype.kind != "f" or not values.size:
            raise ValueError(f"only floats under a key of {_KEY_BYTES} bytes are stored, not {values.dtype}")
        if not self._cache.writable:
            return
        with self._lock:
            self._bytes += values.nbytes - getattr(self._rows.get(key), "nbytes", 0)
            self._rows[key] = np.array(values, order="C")
            if self._bytes >= self._batch_bytes:
                self._write()

    def flush(self) -> None:
        """Write what is not in the file yet; when this returns, it survives a loss of power."""
        with self._lock:
            self._write()
        self._cache.touch()

    def _write(self) -> None:
        rows: dict[bytes, Content] = {}
        for key, values in self._rows.items():
            dtype, shape = values.dtype.str.encode(), json.dumps(values.shape).encode()
            rows[_row_key(self._digest, key)] = (dtype, shape, values.reshape(-1).view(np.uint8).data)
        self._cache.write_rows(self._description, rows)
        self._rows, self._bytes = {}, 0


def limit_from_environment() -> int:
    """Return the most bytes that the cache takes: ``HUBTUNE_CACHE_SIZE``, or 10 GB where it is not set.

    Raises:
        UsageError: the variable does not hold a size.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text.strip():
        return DEFAULT_LIMIT
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"{_VARIABLE}: {error}, or 0 for no cache") from error


def _digest(facts: Mapping[str, Any]) -> bytes:
    """SHA-256 of facts, the same whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).digest()


def _row_key(space: bytes, key: bytes) -> bytes:
    return hashlib.sha256(space + key).digest()


def _checksum(key: bytes, dtype: bytes, shape: bytes, data: bytes | memoryview) -> bytes:
    # With the key and the type in it, no row is taken for another image's or read as other numbers.
    checksum = hashlib.blake2b(key, digest_size=_CHECKSUM_BYTES)
    checksum.update(b"%b%b" % (dtype, shape))
    checksum.update(data)
    return checksum.digest()


def _is_intact(key: bytes, checksum: bytes, content: Sequence[bytes]) -> bool:
    try:
        return _checksum(key, *content) == checksum
    except TypeError:  # damage may change the type of a column
        return False


def _delete_entries(numbers: Sequence[int], database: sqlite3.Connection) -> int:
    statement = "DELETE FROM entries WHERE id = ?"
    return database.executemany(statement, [(number,) for number in numbers]).rowcount


def _delete_batches(numbers: Sequence[int], database: sqlite3.Connection) -> bool:
    for statement in ("DELETE FROM entries WHERE batch = ?", "DELETE FROM batches WHERE id = ?"):
        database.executemany(statement, [(number,) for number in numbers])
    return True


def _parse(description: bytes) -> dict[str, Any]:
    with contextlib.suppress(TypeError, ValueError, RecursionError):  # it is damaged
        facts = json.loads(description)
        if isinstance(facts, dict):
            return facts
    return {}
