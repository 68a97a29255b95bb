"""Reads the format in which Paddle stores a ``LoDTensor``, since 1.0.

All numbers are little-endian. A tensor is: a version (``uint32``, 0); the number of LoD levels (``uint64``),
and for each its size in bytes (``uint64``) and its content; again a version (``uint32``, 0); the size of a
description (``int32``) and the description, the message ``VarType.TensorDesc`` of Paddle's
``framework.proto``, with type and dimensions; and the values, row by row. A file holds one tensor, or several
one after the other.
"""

import struct
from math import prod
from typing import Protocol

import numpy as np

from hubtune.storage.fluid.protobuf import read_fields, read_varints

MAGIC = bytes(4)
"""What such a file begins with: the version."""

# Paddle's numbers of types (``VarType.Type``) that numpy has, too.
_TYPES = {0: "?", 1: "i2", 2: "i4", 3: "i8", 4: "f2", 5: "f4", 6: "f8", 20: "u1", 21: "i1"}
_TYPE_FIELD, _DIMENSIONS_FIELD = 1, 2

_MOST_LOD_LEVELS = 16
_MOST_DESCRIPTION_BYTES = 1024
_MOST_DIMENSIONS = 9  # as in Paddle


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int) -> bytes: ...


def read_tensor(stream: Readable, size: int) -> tuple[np.ndarray, int]:
    """Read a tensor from the ``size`` bytes that a stream still has; return it and the bytes left.

    Memory is taken only for values that these bytes can hold. The array is read-only.

    Raises:
        ValueError: the bytes are not a tensor, are cut short, or have a type that numpy lacks.
    """
    source = _Source(stream, size)
    _check_version(source)
    (levels,) = source.unpack("<Q")
    if levels > _MOST_LOD_LEVELS:
        raise ValueError(f"{levels:,} levels of detail")
    for _ in range(levels):
        (level_size,) = source.unpack("<Q")
        source.take(level_size)
    _check_version(source)
    (description_size,) = source.unpack("<i")
    if not 0 <= description_size <= _MOST_DESCRIPTION_BYTES:
        raise ValueError(f"a description of {description_size:,} bytes")
    dtype, shape = _read_description(source.take(description_size))
    values = source.take(prod(shape) * dtype.itemsize)
    return np.frombuffer(values, dtype).reshape(shape), source.left


class _Source:
    """Takes bytes from a stream, and never more than are left."""

    def __init__(self, stream: Readable, left: int) -> None:
        self._stream = stream
        self.left = left

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"it is cut short: {size:,} bytes should follow, and {self.left:,} do")
        data = self._stream.read(size) if size else b""
        if len(data) < size:
            raise ValueError(f"it is cut short: {size:,} bytes should follow, and {len(data):,} do")
        self.left -= size
        return data

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))


def _check_version(source: _Source) -> None:
    (version,) = source.unpack("<I")
    if version:
        raise ValueError(f"the unknown version {version:,}")


def _read_description(message: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    kind, shape = None, []
    for number, value in read_fields(message):
        if number == _TYPE_FIELD:
            kind = value
        elif number == _DIMENSIONS_FIELD:
            shape += [value] if isinstance(value, int) else read_varints(value)
    if kind not in _TYPES:
        raise ValueError(f"values of the type {kind!r} of Paddle, which is not read")
    # A negative dimension is a varint of 64 bits, and so large here.
    if len(shape) > _MOST_DIMENSIONS or any(side >= 2**62 for side in shape):
        raise ValueError(f"impossible dimensions {shape[:_MOST_DIMENSIONS]}")
    return np.dtype(_TYPES[kind]).newbyteorder("<"), tuple(shape)
