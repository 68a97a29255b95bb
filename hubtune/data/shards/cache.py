"""Shards of buckets on this machine: never more than a limit, whichever processes and runs need them."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from hubtune.data.shards.members import PackedShard
from hubtune.errors import DataError, UsageError
from hubtune.storage.atomic import sha256_of, with_ending
from hubtune.storage.cache_folder import cache_write_error, data_folder
from hubtune.storage.object_store import MissingObjectError, ObjectStore
from hubtune.text import parse_bytes

LIMIT_VARIABLE, DEFAULT_LIMIT = "HUBTUNE_SHARD_CACHE", "20GB"

_PART = ".part"  # of a shard that is being fetched; before it, the bytes that it will have
_PINNED: Counter[Path] = Counter()
_pinning = Lock()


def shard_cache_limit() -> int:
    """Return the most bytes of shards of buckets on this machine: ``HUBTUNE_SHARD_CACHE``, default 20 GB.

    Raises:
        UsageError: the variable is not a size.
    """
    try:
        return parse_bytes(os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT)
    except ValueError as error:
        raise UsageError(f"{LIMIT_VARIABLE}: {error}") from error


def shards_folder() -> Path:
    """Return the folder with a folder for each place that shards were fetched from."""
    return data_folder() / "shards"


def pin(shard: PackedShard) -> None:
    """Keep a shard on this machine, until it is unpinned as often."""
    with _pinning:
        _PINNED[shard.file] += 1


def unpin(shard: PackedShard) -> None:
    """Let other shards take the place of one."""
    with _pinning:
        _PINNED[shard.file] -= 1


def fetch_shard(shard: PackedShard) -> bool:
    """Bring a shard of a bucket to this machine, in place of others that are not pinned.

    Two processes never fetch the same one at once; what a killed process has left unfinished is removed.

    Returns:
        Whether it is there; if not, there was no room below the limit.

    Raises:
        DataError: it is damaged, or no longer in the bucket.
        MachineError: the bucket cannot be read, or the cache not written.
    """
    from filelock import FileLock  # late, as only some commands need it

    assert shard.address is not None
    try:
        with FileLock(with_ending(shard.file, ".lock")):
            if _is_complete(shard):
                with contextlib.suppress(OSError):
                    os.utime(shard.file)  # the latest one to be removed
                return True
            part = _reserve(shard)
            if part is None:
                return False
            try:
                _download(shard, part)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            part.replace(shard.file)
            return True
    except OSError as error:
        raise cache_write_error(shard.file, error) from error


def _is_complete(shard: PackedShard) -> bool:
    with contextlib.suppress(OSError):
        return shard.file.stat().st_size == shard.entry.size
    return False


def _download(shard: PackedShard, part: Path) -> None:
    where = f"The shard {shard.address}/{shard.entry.name}"
    try:
        ObjectStore(shard.address or "").download(shard.entry.name, part)
    except MissingObjectError as error:
        raise DataError(f"{where} is no longer there: pack the pictures again") from error
    if part.stat().st_size != shard.entry.size or sha256_of(part) != shard.entry.sha256:
        raise DataError(f"{where} is damaged: its size or SHA-256 is not that of the index")


def _reserve(shard: PackedShard) -> Path | None:
    """Make room for a shard, and return the file to fetch it into; ``None`` if there is none."""
    from filelock import FileLock

    part = with_ending(shard.file, f".{shard.entry.size}{_PART}")
    top = shards_folder()
    with FileLock(top / ".room.lock"):
        # Of a killed process, and of an older shard of this name: this process has the lock of the shard.
        part.unlink(missing_ok=True)
        shard.file.unlink(missing_ok=True)
        used, removable = _content(top)
        removable.sort()
        needed = used + shard.entry.size - shard_cache_limit()
        while needed > 0:
            if not removable:
                return None
            _, file, size = removable.pop(0)
            if _remove(file):
                needed -= size
        part.touch()
    return part


def _content(top: Path) -> tuple[int, list[tuple[float, Path, int]]]:
    """Return the bytes that are taken, and time, file and bytes of all that may be removed."""
    used, removable = 0, []
    with _pinning:
        pinned = {file for file, count in _PINNED.items() if count > 0}
    for file in _files(top):
        with contextlib.suppress(OSError, ValueError):  # another process may have renamed it
            status = file.stat()
            is_part = file.name.endswith(_PART)
            size = int(file.name.split(".")[-2]) if is_part else status.st_size
            used += size
            if is_part or file not in pinned:
                removable.append((0.0 if is_part else status.st_mtime, file, size))
    return used, removable


def _files(top: Path) -> Iterator[Path]:
    for folder in top.iterdir():
        if folder.is_dir():
            yield from (file for file in folder.iterdir() if file.name.endswith((_PART, ".tar")))


def _remove(file: Path) -> bool:
    """Remove a shard, or what a killed process has left of one; not what is being fetched."""
    from filelock import FileLock, Timeout

    name = file.name if file.suffix == ".tar" else file.name.rsplit(".", 2)[0]
    try:
        with FileLock(with_ending(file.with_name(name), ".lock"), timeout=0):
            file.unlink(missing_ok=True)
        return True
    except (Timeout, OSError):  # being fetched; on Windows, being read
        return False
