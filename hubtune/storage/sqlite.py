"""SQLite files of the cache folder: one that is lost, damaged or cannot be written only costs time."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hubtune.log import logger

_BUSY_SECONDS = 10.0  # how long to wait for another process that is writing
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)

T = TypeVar("T")
Row = tuple[Any, ...]


class CacheDatabase:
    """A SQLite file whose loss only costs time, for several threads and processes.

    No error of SQLite or of the file system leaves this class. A damaged file is replaced by an empty one,
    once, with a warning. A file that cannot be read counts as empty; one that cannot be written is only read.

    The file has SQLite's default rollback journal. A write-ahead log does not work on network drives, nor in
    a folder that can only be read, and it writes every new row twice.

    Attributes:
        error: why the file cannot be read or written; ``None`` while nothing has failed.
        replaced: whether the file was damaged, and an empty one has taken its place.
    """

    def __init__(self, file: Path, tables: Sequence[str], version: int) -> None:
        """Describe the file; it is opened when it is first used, and made when it is first written.

        ``tables`` are the ``CREATE`` statements of its tables and indices. The version changes with them; a
        file of another version is emptied.
        """
        self.file = file
        self.error: str | None = None
        self.replaced = False
        self._tables, self._version = tables, version
        self._readable = True
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def read(self, question: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows that answer a question; text comes as bytes. Empty where the file is of no use."""
        return self._run(lambda database: database.execute(question, values).fetchall(), writes=False) or []

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run some work as one transaction; returns its result, or ``None`` where it could not be done.

        Work that raises is undone; an error that is not SQLite's is passed on.
        """

        def transaction(database: sqlite3.Connection) -> T:
            database.execute("BEGIN IMMEDIATE")
            try:
                result = work(database)
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has undone it already, as on a full disk
                    database.execute("ROLLBACK")
                raise
            return result

        return self._run(transaction, writes=True)

    def shrink(self) -> None:
        """Give the space of removed rows back to the disk: the last pages of the file take their place."""
        # Not by execute(), which ends after the first page.
        self._run(lambda database: database.executescript("PRAGMA incremental_vacuum"), writes=True)

    def __del__(self) -> None:
        self._close()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> T | None:
        with self._lock:
            for _ in range(2):  # once more after damage, with an empty file
                if not self._readable or (writes and self.error is not None):
                    return None
                try:
                    database = self._open(create=writes)
                    return None if database is None else work(database)
                except sqlite3.DatabaseError as error:
                    if not self._replace_damaged(error):
                        # What cannot be written can mostly be read.
                        self.error = str(error)
                        self._readable = writes
                        return None
                except OSError as error:
                    self.error = error.strerror or str(error)
                    return None
        return None

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        if self._database is None:
            if create:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            elif not self.file.exists():
                return None
            # The lock of this class is held wherever the connection is used.
            database = sqlite3.connect(
                self.file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.text_factory = bytes  # damaged text need not be valid UTF-8
        database.execute("PRAGMA secure_delete = OFF")  # removed rows need not be overwritten by zeros
        if self._has_version(database):
            return
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a new file can shrink
        database.execute("BEGIN IMMEDIATE")
        if not self._has_version(database):  # or another process was quicker
            names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            for [name] in database.execute(names).fetchall():
                database.execute(f'DROP TABLE "{name.decode()}"')
            for statement in self._tables:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {self._version}")
        database.execute("COMMIT")

    def _has_version(self, database: sqlite3.Connection) -> bool:
        return database.execute("PRAGMA user_version").fetchone() == (self._version,)

    def _replace_damaged(self, error: sqlite3.DatabaseError) -> bool:
        """Remove the file if it is damaged, the first time; returns whether to try again."""
        self._close()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the bits are details
        if code not in _DAMAGE or self.replaced:
            return False
        logger.warning("%s is damaged and is replaced", self.file)
        try:
            remove_database(self.file)
        except OSError:
            return False
        self.replaced = True
        return True

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def remove_database(file: Path) -> int:
    """Remove a SQLite file; returns the bytes that were freed.

    Raises:
        OSError: it cannot be removed.
    """
    size = file.stat().st_size if file.exists() else 0
    # The journal first: SQLite would undo with it what another file of this name holds.
    file.with_name(f"{file.name}-journal").unlink(missing_ok=True)
    file.unlink(missing_ok=True)
    return size
