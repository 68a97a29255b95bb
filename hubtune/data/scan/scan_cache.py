"""Cache of scan results: a rescan reads only new or changed files.

One SQLite file in hubtune's home holds the result of inspecting each file, and which images of a set are
copies of each other. A file is identified by the hash of its path; its size, inode and times must be
unchanged. Neither names nor images are stored. Without the cache everything works, only slower.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import PIL

from hubtune.data.scan import fingerprint, inspect
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.shards.members import find_member
from hubtune.errors import MachineError
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.sqlite import CacheDatabase, remove_database

MAX_FILES = 1_000_000
"""Most files in the cache, about 5 kB each; the oldest entries are deleted first."""

# A file changed less long ago may change again without a new time: FAT stores times in steps of two seconds.
_RACY_SECONDS = 2
_MAX_IMAGE_SETS = 100  # of which the copies are stored
# Raised when the columns change. The tables' names are part of the format, too.
_SCHEMA_VERSION = 2
_TABLES = (
    "CREATE TABLE looks (place INTEGER PRIMARY KEY, key BLOB UNIQUE, state BLOB, sum INTEGER, look BLOB)",
    "CREATE TABLE copies (place INTEGER PRIMARY KEY, key BLOB UNIQUE, sum INTEGER, pairs BLOB)",
)
# What an inspection depends on besides the file.
_VERSIONS = (inspect.VERSION, fingerprint.VERSION, PIL.__version__, find_spec("pillow_heif") is not None)

Inspection = ImageInfo | str
"""Result of inspecting a file: its measurements, or the reason why it cannot be used."""


class FileStamp(NamedTuple):
    """Identity of a file in the cache: hashes of its path, and of its size, inode and times.

    ``state`` is ``None`` if they are unknown, or too recent to be reliable.
    """

    key: bytes
    state: bytes | None


def stamp_file(path: Path) -> FileStamp:
    """Return a file's current stamp."""
    # Lists name files relative to their own folder. The state has the inode: another file never matches.
    key = _hash(os.path.normpath(path.absolute()))
    if (member := find_member(path)) is not None:
        return FileStamp(key, _hash(repr((member.sha256, *_VERSIONS))))
    try:
        status = path.stat()
    except OSError:
        return FileStamp(key, None)
    if max(status.st_mtime, status.st_ctime) > time.time() - _RACY_SECONDS:
        return FileStamp(key, None)
    # Size and modification time do not suffice: files that were unpacked together may agree in both, and swap
    # their names.
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, *_VERSIONS)
    return FileStamp(key, _hash(repr(state)))


def cache_file() -> Path:
    """Path of the cache, whether or not it exists. Raises MachineError without a home folder."""
    return cache_root() / "scan.sqlite"


def delete_scan_cache() -> int:
    """Delete the cache, and return its size in bytes; raise OSError if it cannot be deleted."""
    return remove_database(cache_file())


def cached_sha256(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of files that were scanned before and have not changed; empty for the others."""
    if not cache_file().exists():
        return [""] * len(paths)
    with ScanCache() as cache:
        results = [cache.get(stamp_file(path)) for path in paths]
    return [result.sha256 if isinstance(result, ImageInfo) else "" for result in results]


class ScanCache:
    """The open cache; a context manager for one thread.

    A cache that cannot be read or written is ignored silently. A damaged one is replaced, with a warning.
    """

    def __init__(self) -> None:
        """Open the cache; it is created when the first result is stored."""
        self._database: CacheDatabase | None = None
        with contextlib.suppress(MachineError):  # this user has no home folder
            self._database = CacheDatabase(cache_file(), _TABLES, _SCHEMA_VERSION)

    def __enter__(self) -> "ScanCache":
        return self

    def __exit__(self, *_: object) -> None:
        # `place` counts up with each new entry.
        for table, most in (("looks", MAX_FILES), ("copies", _MAX_IMAGE_SETS)):
            self._write(f"DELETE FROM {table} WHERE place <= (SELECT max(place) FROM {table}) - ?", [(most,)])
        if self._database is not None:
            self._database.close()

    def get(self, stamp: FileStamp) -> Inspection | None:
        """Return the inspection of a file; ``None`` if there is none, or the file has changed."""
        if stamp.state is None:
            return None
        packed = self._read("SELECT sum, look FROM looks WHERE key = ? AND state = ?", stamp)
        return None if packed is None else _unpack(packed)

    def put(self, inspections: Iterable[tuple[FileStamp, Inspection]]) -> None:
        """Store inspections of files."""
        rows = [(*stamp, _pack(result)) for stamp, result in inspections if stamp.state is not None]
        statement = "INSERT OR REPLACE INTO looks (key, state, look, sum) VALUES (?, ?, ?, ?)"
        self._write(statement, [(*row, zlib.crc32(row[-1])) for row in rows])

    def get_copies(self, key: bytes) -> list[tuple[int, int]] | None:
        """Return the pairs stored for a hash of all that a search depends on; ``None`` without any."""
        packed = self._read("SELECT sum, pairs FROM copies WHERE key = ?", (key,))
        return None if packed is None else [(one, other) for one, other in json.loads(packed)]

    def put_copies(self, key: bytes, pairs: Sequence[tuple[int, int]]) -> None:
        """Store the pairs of copies in a set of images."""
        packed = json.dumps(pairs).encode()
        statement = "INSERT OR REPLACE INTO copies (key, sum, pairs) VALUES (?, ?, ?)"
        self._write(statement, [(key, zlib.crc32(packed), packed)])

    def _read(self, query: str, values: tuple[bytes | None, ...]) -> bytes | None:
        """The content of the matching row, if its checksum is right."""
        rows = [] if self._database is None else self._database.read(query, values)
        return rows[0][1] if rows and zlib.crc32(rows[0][1]) == rows[0][0] else None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self._database is not None and rows:
            self._database.write(lambda database: database.executemany(statement, rows))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(os.fsencode(text), digest_size=16).digest()


def _pack(result: Inspection) -> bytes:
    if isinstance(result, str):
        return json.dumps(result).encode()
    *values, content = (getattr(result, name) for name in result.__slots__)  # astuple() copies each value
    return json.dumps(values).encode() + b"\n" + content


def _unpack(packed: bytes) -> Inspection:
    text, _, content = packed.partition(b"\n")
    values = json.loads(text)
    if isinstance(values, str):
        return values
    values[1:3] = map(sys.intern, values[1:3])  # format and mode: a few strings for a million files
    return ImageInfo(*[*values, content])
