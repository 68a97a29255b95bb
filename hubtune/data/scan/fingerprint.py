"""What of a picture is kept to find its near-duplicates: a small copy of it."""

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, SupportsBytes

import numpy as np
from PIL import Image

VERSION = 2
"""Fingerprints of another version are not comparable."""

SIDE = 64
"""Pixels a side of the small copy."""

COLOUR_SIDE = 8
"""Pixels a side of its colours."""

_SHAPE = struct.Struct("<HH")
_GREY, _COLOUR = SIDE**2, COLOUR_SIDE**2
SIZE = _GREY + 2 * _COLOUR + _SHAPE.size
"""Bytes of a fingerprint."""


def fingerprint(image: Image.Image) -> bytes:
    """Make the fingerprint of a picture.

    Args:
        image: upright, mode ``RGB``; a reduced one does, while it is not smaller than 64 pixels a side.

    Returns:
        :data:`SIZE` bytes: luma of the picture, stretched to a square of 64 × 64; its blue and red
        chrominance (ITU-R BT.601), 8 × 8 each; width and height of ``image``, pixels.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("YCbCr")
    luma, *chrominance = small.split()
    colours = [each.reduce(SIDE // COLOUR_SIDE).tobytes() for each in chrominance]
    shape = _SHAPE.pack(min(image.width, 65535), min(image.height, 65535))
    return b"".join([luma.tobytes(), *colours, shape])


class Spool:
    """Fingerprints in a temporary file, so that those of a million pictures need no memory."""

    def __init__(self) -> None:
        """Make the file; it goes with the last fingerprint that is in it."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = Lock()
        self._count = 0

    def add(self, content: bytes) -> "Spooled":
        """Write a fingerprint."""
        with self._lock:
            self._file.seek(self._count * SIZE)
            self._file.write(content)
            self._count += 1
            return Spooled(self, self._count - 1)

    def read(self, place: int) -> bytes:
        """Return a fingerprint by its place; any thread may ask."""
        with self._lock:
            self._file.seek(place * SIZE)
            return self._file.read(SIZE)


@dataclass(frozen=True, slots=True, eq=False)
class Spooled:
    """A fingerprint that is read when ``bytes`` of it are asked for; equal to one of the same bytes."""

    spool: Spool
    place: int

    def __bytes__(self) -> bytes:
        return self.spool.read(self.place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spooled) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))


class Prints(NamedTuple):
    """Some fingerprints as arrays.

    Attributes:
        grey: luma ``[N, 64, 64]``, uint8.
        colours: chrominance ``[N, 2, 8, 8]``, uint8; 128 is grey.
        aspects: width through height of what the copies were made from, ``[N]``, float32.
    """

    grey: np.ndarray
    colours: np.ndarray
    aspects: np.ndarray


class Fingerprints:
    """Many fingerprints, of which some are in memory at a time."""

    def __init__(self, packed: Sequence[SupportsBytes]) -> None:
        """Take what :func:`fingerprint` has made, spooled or not."""
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed)

    def take(self, rows: np.ndarray) -> Prints:
        """Read some of them, by their places ``[n]``."""
        distinct, where = np.unique(rows, return_inverse=True)
        content = np.frombuffer(b"".join(bytes(self._packed[row]) for row in distinct), np.uint8)
        content = content.reshape(-1, SIZE)[where]
        grey, colours, shapes = np.split(content, (_GREY, _GREY + 2 * _COLOUR), axis=1)
        widths, heights = np.ascontiguousarray(shapes).view("<u2").astype(np.float32).T
        return Prints(
            grey.reshape(-1, SIDE, SIDE),
            colours.reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE),
            widths / heights,
        )
