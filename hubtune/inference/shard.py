"""Shards: the values of many pictures in one pair of files, written once, and then only read or removed.

``NAME.values.npy`` holds a row a picture, all of one shape and float type. ``NAME.keys.npy`` holds the key of
each row with the row's checksum; it comes to its place last, whole and by a rename, and so marks the shard as
whole. What is read is right or is not returned, whatever happened to the files meanwhile.

Rows are read where they are, not mapped into memory: that takes as long, but a mapped page whose disk or
server fails ends the process, and mapped pages count as its memory.
"""

import contextlib
import hashlib
import io
import math
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from hubtune.storage.atomic import replacing

KEY_BYTES = 32
SUM_BYTES = 8
SHARD_BYTES = 32 * 2**20
"""About the most that a shard takes; so much is held in memory for each space that is written."""

_KEYS, _VALUES = ".keys.npy", ".values.npy"
_START = b"\x93NUMPY\x01\x00"
_MOST_HEADER_BYTES = 512  # of the length that such a file claims; ours have 118


class Damaged(Exception):
    """A file is not what was written."""


@dataclass(frozen=True)
class Shard:
    """A whole shard on the disk.

    Attributes:
        keys_file: the file of keys, whose time of change is the shard's last use.
        count: how many rows it has.
        shape: the shape of a row.
        dtype: the type of its numbers.
    """

    keys_file: Path
    count: int
    shape: tuple[int, ...]
    dtype: np.dtype
    _keys_start: int
    _values_start: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row's values."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of all values and keys."""
        return self.count * (self.row_bytes + KEY_BYTES + SUM_BYTES)

    def keys(self) -> np.ndarray:
        """Return keys and checksums, uint8 ``[count, KEY_BYTES + SUM_BYTES]``.

        Raises:
            OSError: the file cannot be read; :class:`FileNotFoundError` if it was removed meanwhile.
            Damaged: it has changed.
        """
        width = KEY_BYTES + SUM_BYTES
        content = _read(self.keys_file, self._keys_start, self.count * width)
        return np.frombuffer(content, np.uint8).reshape(self.count, width)

    def row(self, number: int, key: bytes, checksum: int) -> np.ndarray:
        """Return a copy of a row's values.

        Args:
            number: the row, from 0.
            key: the picture's key.
            checksum: the row's, as :func:`checksums_of` has it.

        Raises:
            OSError: as :meth:`keys`.
            Damaged: the row is not what was written.
        """
        content = _read(
            values_of(self.keys_file), self._values_start + number * self.row_bytes, self.row_bytes
        )
        values = np.frombuffer(content, self.dtype).reshape(self.shape)
        if _checksum(key, values) != checksum.to_bytes(SUM_BYTES, "big"):
            raise Damaged(f"row {number} has another checksum than when it was written")
        return values


def open_shard(keys_file: Path) -> Shard:
    """Look at the headers and sizes of a shard's files.

    Raises:
        OSError: they cannot be read now; :class:`FileNotFoundError` if one is not there.
        Damaged: they are no shard.
    """
    values_file = values_of(keys_file)
    key_shape, key_dtype, keys_start = _header(keys_file)
    shape, dtype, values_start = _header(values_file)
    if key_dtype != np.uint8 or len(key_shape) != 2 or key_shape[1] != KEY_BYTES + SUM_BYTES:
        raise Damaged("its file of keys does not hold keys")
    if dtype.kind != "f" or not shape or shape[0] != key_shape[0] or 0 in shape:
        raise Damaged(f"its file of values does not hold those of {key_shape[0]} pictures")
    if math.prod(key_shape) > 2 * SHARD_BYTES:
        raise Damaged("its file of keys is larger than any that hubtune writes")
    return Shard(keys_file, shape[0], shape[1:], dtype, keys_start, values_start)


def write_shard(
    folder: Path, rows: Mapping[bytes, np.ndarray], make_room: Callable[[Path], bool]
) -> Shard | None:
    """Write a shard under a random name; when this returns, it survives a loss of power.

    Args:
        folder: where to.
        rows: key → values, all of one shape and float type; at least one.
        make_room: called with the shard's file of keys when its values have their place on the disk, but not
            their content yet; where it returns false, nothing is kept.

    Raises:
        OSError: it cannot be written; nothing is left then.
    """
    keys_file = folder / f"{secrets.token_hex(16)}{_KEYS}"
    first = next(iter(rows.values()))
    keys = b"".join(key + _checksum(key, values) for key, values in rows.items())
    try:
        with values_of(keys_file).open("xb") as file:
            description = {
                "descr": np.lib.format.dtype_to_descr(first.dtype),
                "fortran_order": False,
                "shape": (len(rows), *first.shape),
            }
            np.lib.format.write_array_header_1_0(file, description)
            # From here on other processes count its size: they cannot exceed the limit together.
            file.truncate(file.tell() + len(rows) * first.nbytes)
            if not make_room(keys_file):
                file.close()  # Windows removes no open file
                remove_shard(keys_file)
                return None
            for values in rows.values():
                file.write(np.ascontiguousarray(values).data)
            file.flush()
            os.fsync(file.fileno())
        with replacing(keys_file) as file:
            np.save(file, np.frombuffer(keys, np.uint8).reshape(len(rows), -1))
        return open_shard(keys_file)
    except BaseException:
        remove_shard(keys_file)
        raise


def rewrite_shard(keys_file: Path, rows: Mapping[bytes, np.ndarray]) -> bool:
    """Put a new shard with these rows in the place of an old one; returns whether the old one is gone.

    The new one is whole before the old one goes: a process that is killed in between loses nothing. Of
    several that do this at once, the one that removes the old one keeps its new one. For that time both take
    space, whatever the limit, as rows that are good must not be evicted for it.

    Args:
        keys_file: the old one's.
        rows: key → values, all of one shape and float type; may be none.

    Raises:
        OSError: the new one cannot be written; the old one stays as it is.
    """
    if not rows:
        return remove_shard(keys_file)
    used = keys_file.stat().st_mtime_ns
    new = write_shard(keys_file.parent, rows, lambda new: True)
    try:
        if new is not None:
            os.utime(new.keys_file, ns=(used, used))
        keys_file.unlink()
    except OSError as error:
        if new is not None:
            remove_shard(new.keys_file)
        return isinstance(error, FileNotFoundError)
    remove(values_of(keys_file))
    return True


def sound_rows(shard: Shard) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yield key and values of the rows of a shard that are as they were written.

    Raises:
        OSError: it cannot be read.
        Damaged: its keys have changed in size.
    """
    keys = shard.keys()
    for number, (row, checksum) in enumerate(zip(keys, checksums_of(keys), strict=True)):
        key = row[:KEY_BYTES].tobytes()
        with contextlib.suppress(Damaged):
            yield key, shard.row(number, key, int(checksum))


def starts_of(keys: np.ndarray) -> np.ndarray:
    """Return the first eight bytes of each of :meth:`Shard.keys` as a big-endian number, uint64."""
    return _numbers(keys[:, :8])


def checksums_of(keys: np.ndarray) -> np.ndarray:
    """Return the checksum beside each of :meth:`Shard.keys` as a big-endian number, uint64."""
    return _numbers(keys[:, KEY_BYTES:])


def remove_shard(keys_file: Path) -> bool:
    """Remove a shard; returns whether it is gone: Windows removes no file that a process has open."""
    # Without keys it is no shard any more, whatever happens before the rest is gone.
    return remove(keys_file) and remove(values_of(keys_file))


def remove(path: Path) -> bool:
    """Remove a file, or a folder in its place; returns whether it is gone."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return True
    return False


def is_keys_file(path: Path) -> bool:
    """Whether a file of this name is a shard's file of keys."""
    return path.name.endswith(_KEYS)


def is_values_file(path: Path) -> bool:
    """Whether a file of this name is a shard's file of values."""
    return path.name.endswith(_VALUES)


def values_of(keys_file: Path) -> Path:
    """Return the file of values beside a shard's file of keys."""
    return keys_file.with_name(keys_file.name.removesuffix(_KEYS) + _VALUES)


def _words(path: Path) -> str:
    """A file of a shard for people, to whom its name says nothing."""
    return f"its file of {'keys' if is_keys_file(path) else 'values'}"


def _checksum(key: bytes, values: np.ndarray) -> bytes:
    # With the key and the type in it, no row is taken for another picture's or read as other numbers.
    content = hashlib.blake2b(key, digest_size=SUM_BYTES)
    content.update(f"{values.dtype.str}{values.shape}".encode())
    content.update(np.ascontiguousarray(values).data)
    return content.digest()


def _read(path: Path, start: int, count: int) -> bytearray:
    content = bytearray(count)  # an array over it can be written to, which one over bytes cannot
    with path.open("rb") as file:
        file.seek(start)
        if file.readinto(content) != count:
            raise Damaged(f"{_words(path)} is shorter than when it was written")
    return content


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type and start of the numbers of an .npy file whose size fits them."""
    # Nothing else is opened: a pipe would be waited on for ever.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Damaged(f"{_words(path)} is not a file")
    with path.open("rb") as file:
        start = file.read(len(_START) + 2)
        length = int.from_bytes(start[len(_START) :], "little")
        if not start.startswith(_START) or length > _MOST_HEADER_BYTES:
            raise Damaged(f"{_words(path)} is no .npy file that hubtune wrote")
        header = io.BytesIO(start[len(_START) :] + file.read(length))
        try:
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(header)
        except (ValueError, TypeError, SyntaxError, TokenError, MemoryError, RecursionError) as error:
            raise Damaged(f"the header of {_words(path)} cannot be read") from error
        begin, size = len(start) + length, os.fstat(file.fileno()).st_size
    if by_columns or dtype.hasobject or min(shape, default=0) < 0:
        raise Damaged(f"{_words(path)} holds other things than hubtune writes")
    if begin + math.prod(shape) * dtype.itemsize != size:
        raise Damaged(f"{_words(path)} has another size than when it was written")
    return shape, dtype, begin


def _numbers(columns: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(columns).view(">u8")[:, 0].astype(np.uint64)
