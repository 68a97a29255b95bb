"""What looks at pictures told, kept so that the next scan opens only pictures that are new or changed.

Which pictures of a set are copies of one another is kept as well. All of it is in one SQLite file in
hubtune's home. A picture's file is known by the sum of its path; its size, inode and times must be as they
were. Neither names nor pictures are kept. Without the SQLite file everything works as well, only slower.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

import PIL

from hubtune.data.scan import fingerprint, inspect
from hubtune.data.scan.inspect import ImageInfo
from hubtune.errors import MachineError
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.sqlite import CacheDatabase, remove_database

MOST_LOOKS = 1_000_000
"""So many looks are kept, about 5 kB each; of more, those that came first go."""

# A file that was changed so short a time ago may change again and keep its time: FAT counts by two seconds.
_RACY_SECONDS = 2
# Of so many sets of pictures, their copies are kept.
_MOST_SETS = 100
# Raised with the tables' columns.
_SCHEMA_VERSION = 2
_TABLES = (
    "CREATE TABLE looks (place INTEGER PRIMARY KEY, key BLOB UNIQUE, state BLOB, sum INTEGER, look BLOB)",
    "CREATE TABLE copies (place INTEGER PRIMARY KEY, key BLOB UNIQUE, sum INTEGER, pairs BLOB)",
)
# What a look depends on, beside the file.
_VERSIONS = (inspect.VERSION, fingerprint.VERSION, PIL.__version__)

Look = ImageInfo | str
"""The facts of a picture, or the reason why it cannot be used."""


class Stamp(NamedTuple):
    """What a file is known by.

    Attributes:
        key: of its path.
        state: of its size, inode and times; ``None`` if they are not to be had, or too new to be relied on.
    """

    key: bytes
    state: bytes | None


def stamp_of(path: Path) -> Stamp:
    """Say what a file is known by at this moment."""
    key = _sum_of(str(path.absolute()))
    try:
        status = path.stat()
    except OSError:
        return Stamp(key, None)
    if max(status.st_mtime, status.st_ctime) > time.time() - _RACY_SECONDS:
        return Stamp(key, None)
    # Not size and time alone: files that were unpacked together may agree in both, and exchange their names.
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, *_VERSIONS)
    return Stamp(key, _sum_of(repr(state)))


def cache_file() -> Path:
    """Return the file, whether it is there or not.

    Raises:
        MachineError: this user has no home folder.
    """
    return cache_root() / "scan.sqlite"


def delete_scan_cache() -> int:
    """Remove the file; returns the bytes that were freed.

    Raises:
        MachineError: this user has no home folder.
        OSError: it cannot be removed.
    """
    return remove_database(cache_file())


class ScanCache:
    """The kept looks, as one scan uses them; a context manager, of one thread.

    A file that cannot be read or written is left alone, without a word: nothing is lost but time. One that is
    damaged is thrown away, which is logged.
    """

    def __init__(self) -> None:
        """Take the file; it is made when the first look is kept."""
        self._database: CacheDatabase | None = None
        with contextlib.suppress(MachineError):  # this user has no home folder
            self._database = CacheDatabase(cache_file(), _TABLES, _SCHEMA_VERSION)

    def __enter__(self) -> "ScanCache":
        return self

    def __exit__(self, *_: object) -> None:
        # The counter rises with each look that is kept.
        for table, most in (("looks", MOST_LOOKS), ("copies", _MOST_SETS)):
            self._change(
                f"DELETE FROM {table} WHERE place <= (SELECT max(place) FROM {table}) - ?", [(most,)]
            )
        if self._database is not None:
            self._database.close()

    def get(self, stamp: Stamp) -> Look | None:
        """Return what was told of a file; ``None`` if that is not known, or the file has changed."""
        if stamp.state is None:
            return None
        packed = self._ask("SELECT sum, look FROM looks WHERE key = ? AND state = ?", stamp)
        return None if packed is None else _unpack(packed)

    def put(self, looks: Iterable[tuple[Stamp, Look]]) -> None:
        """Keep what was told of files."""
        rows = [(*stamp, _pack(look)) for stamp, look in looks if stamp.state is not None]
        self._change(
            "INSERT OR REPLACE INTO looks (key, state, look, sum) VALUES (?, ?, ?, ?)",
            [(*row, zlib.crc32(row[-1])) for row in rows],
        )

    def get_copies(self, key: bytes) -> list[tuple[int, int]] | None:
        """Return which of a set of pictures are copies of one another; ``None`` if that is not known.

        Args:
            key: a sum of the pictures, and of all that the search depends on.
        """
        packed = self._ask("SELECT sum, pairs FROM copies WHERE key = ?", (key,))
        return None if packed is None else [(one, other) for one, other in json.loads(packed)]

    def put_copies(self, key: bytes, pairs: Sequence[tuple[int, int]]) -> None:
        """Keep which of a set of pictures are copies of one another."""
        packed = json.dumps(pairs).encode()
        statement = "INSERT OR REPLACE INTO copies (key, sum, pairs) VALUES (?, ?, ?)"
        self._change(statement, [(key, zlib.crc32(packed), packed)])

    def _ask(self, question: str, values: tuple[bytes | None, ...]) -> bytes | None:
        """The only row of a checksum and a content that answers, if it is there and whole."""
        rows = [] if self._database is None else self._database.read(question, values)
        return rows[0][1] if rows and zlib.crc32(rows[0][1]) == rows[0][0] else None

    def _change(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self._database is not None and rows:
            self._database.write(lambda database: database.executemany(statement, rows))


def _sum_of(text: str) -> bytes:
    return hashlib.blake2b(os.fsencode(text), digest_size=16).digest()


def _pack(look: Look) -> bytes:
    if isinstance(look, str):
        return json.dumps(look).encode()
    *values, mark = astuple(look)
    return json.dumps(values).encode() + b"\n" + mark


def _unpack(packed: bytes) -> Look:
    text, _, mark = packed.partition(b"\n")
    values = json.loads(text)
    if isinstance(values, str):
        return values
    values[1:3] = map(sys.intern, values[1:3])  # format and mode, of which there are few
    return ImageInfo(*[*values, mark])
