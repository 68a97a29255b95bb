"""Rows of the feature cache: the file that holds them within a limit, their keys and their checksums."""

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtune.log import logger
from hubtune.storage.cache_folder import size_on_disk
from hubtune.storage.sqlite import CacheDatabase
from hubtune.text import format_bytes

FILE_NAME = "features.sqlite"

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
# Bytes of the pages that hold something.
USED_BYTES = (
    "SELECT (page_count - freelist_count) * page_size "
    "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
_CHECKSUM_BYTES = 8

Content = tuple[bytes, bytes, bytes | memoryview]
"""Type, shape and values of an output; the type and the shape of a note are empty."""


class _CacheFullError(Exception):
    pass


class FeatureRows:
    """The rows in the cache's file, as one run uses them.

    A file that is damaged, full, or cannot be read or written never fails a run. Messages are logged once.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.database = CacheDatabase(folder / FILE_NAME, _TABLES, _SCHEMA_VERSION)
        # Batches that this run has read or written, and those whose time of use the file has already.
        self._in_use: set[int] = set()
        self._touched: set[int] = set()
        self._logged: set[str] = set()

    @property
    def writable(self) -> bool:
        """Whether the limit is above 0, and nothing has failed so far."""
        return self.limit > 0 and self.database.error is None

    def read_row(self, space: bytes, key: bytes) -> Content | None:
        """Return the content of a row; ``None`` where there is none, or it is damaged.

        ``space`` is :func:`digest_facts` of the space's description, ``key`` that of the image or note in it.
        """
        if not self.limit:
            return None
        key = _row_key(space, key)
        question = "SELECT batch, checksum, dtype, shape, data FROM entries WHERE key = ?"  # one or none
        for batch, checksum, dtype, shape, data in self.database.read(question, (key,)):
            if _is_intact(key, checksum, (dtype, shape, data)):
                self._in_use.add(batch)
                return dtype, shape, data
            self._log_once(logging.INFO, "Some stored features are damaged: they are computed again.")
        self._log_error()
        return None

    def write_rows(self, description: Mapping[str, Any], rows: Mapping[bytes, Content]) -> None:
        """Write rows, by their keys, as one batch of a space; those with the same keys are replaced."""
        if not rows or not self.limit:
            return
        space, facts = digest_facts(description), json.dumps(description, sort_keys=True).encode()
        contents = {_row_key(space, key): content for key, content in rows.items()}
        size = sum(len(data) for _, _, data in rows.values())

        def insert(database: sqlite3.Connection) -> None:
            self._make_room(database, size)
            batch = database.execute(
                "INSERT INTO batches (space, description, used) VALUES (?, ?, ?)",
                (space.hex().encode(), facts, time.time()),
            ).lastrowid
            assert batch is not None
            self._in_use.add(batch)
            self._touched.add(batch)
            database.executemany(
                "INSERT OR REPLACE INTO entries (batch, bytes, key, checksum, dtype, shape, data) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (batch, len(content[2]), key, _checksum(key, *content), *content)
                    for key, content in contents.items()
                ],
            )
            self._make_room(database, 0)  # for keys and indices, too

        try:
            self.database.write(insert)
        except _CacheFullError:
            message = (
                "The feature cache is full (%s): further features are not stored, and the next run computes "
                "them again. HUBTUNE_CACHE_SIZE sets its limit."
            )
            self._log_once(logging.INFO, message, format_bytes(self.limit))
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

    def damaged_rows(self, space: str) -> list[int]:
        entries = "SELECT id, key, checksum, dtype, shape, data FROM entries WHERE batch = ?"
        return [
            number
            for batch in self.database.read("SELECT id FROM batches WHERE space = ?", (space.encode(),))
            for number, key, checksum, *content in self.database.read(entries, batch)
            if not _is_intact(key, checksum, content)
        ]

    def remove_rows(self, numbers: Sequence[int]) -> int:
        """Remove rows, and return how many could be removed."""
        statement, values = "DELETE FROM entries WHERE id = ?", [(number,) for number in numbers]
        if not numbers:
            return 0
        return self.database.write(lambda database: database.executemany(statement, values).rowcount) or 0

    def remove_batches(self, numbers: Sequence[int]) -> bool:
        """Remove batches with their rows; returns whether that was possible."""
        return self.database.write(lambda database: _delete_batches(database, numbers)) is not None

    def _make_room(self, database: sqlite3.Connection, wanted: int) -> None:
        """Remove what was not used for the longest time until this many more bytes fit, or raise.

        What this run has used stays. Otherwise a run that needs more than the limit would always remove what
        the next run asks for first, and never find anything.
        """
        ids = [batch for [batch] in database.execute("SELECT id FROM batches ORDER BY used DESC")]
        newest_first = [batch for batch in ids if batch not in self._in_use]
        while database.execute(USED_BYTES).fetchone()[0] + wanted > self.limit:
            if not newest_first or wanted > self.limit:
                raise _CacheFullError
            _delete_batches(database, [newest_first.pop()])

    def _log_error(self) -> None:
        if self.database.error is not None:
            message = (
                "Features cannot be stored in %s (%s): the run goes on without, and the next one computes "
                "them again. Free some space, or set HUBTUNE_HOME to a folder that can be written."
            )
            self._log_once(logging.WARNING, message, self.folder, self.database.error)

    def _log_once(self, level: int, message: str, *values: object) -> None:
        if message not in self._logged:
            self._logged.add(message)
            logger.log(level, message, *values)


def _delete_batches(database: sqlite3.Connection, numbers: Sequence[int]) -> bool:
    for statement in ("DELETE FROM entries WHERE batch = ?", "DELETE FROM batches WHERE id = ?"):
        database.executemany(statement, [(number,) for number in numbers])
    return True


def digest_facts(facts: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of facts, the same whatever their order."""
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
