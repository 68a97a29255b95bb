"""Fingerprints for the search for copies: a small copy of each image."""

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, SupportsBytes

import numpy as np
from PIL import Image

VERSION = 2  # fingerprints of different versions are not comparable
SIDE = 64  # pixels, of the luma plane
CHROMA_SIDE = 8  # pixels, of a chrominance plane
_SHAPE = struct.Struct("<HH")
_LUMA_BYTES, _CHROMA_BYTES = SIDE**2, CHROMA_SIDE**2
SIZE = _LUMA_BYTES + 2 * _CHROMA_BYTES + _SHAPE.size
"""Bytes of a fingerprint."""


def compute_fingerprint(image: Image.Image) -> bytes:
    """Compute the fingerprint of an upright RGB image; a reduced one has nearly the same, down to 64 pixels.

    The :data:`SIZE` bytes are luma, stretched to 64 × 64; blue and red chrominance (ITU-R BT.601), 8 × 8
    each; width and height of ``image`` in pixels.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("YCbCr")
    luma, *chroma = small.split()
    planes = [plane.reduce(SIDE // CHROMA_SIDE).tobytes() for plane in chroma]
    shape = _SHAPE.pack(min(image.width, 65535), min(image.height, 65535))
    return b"".join([luma.tobytes(), *planes, shape])


class FingerprintFile:
    """Fingerprints in a temporary file: a million of them would take 4 GiB of memory."""

    def __init__(self) -> None:
        """Create the file; it is deleted with the last fingerprint that refers to it."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = Lock()
        self._count = 0

    def append(self, content: bytes) -> "StoredFingerprint":
        """Write a fingerprint."""
        with self._lock:
            self._file.seek(self._count * SIZE)
            self._file.write(content)
            self._count += 1
            return StoredFingerprint(self, self._count - 1)

    def read(self, index: int) -> bytes:
        """Read a fingerprint; safe with several threads."""
        with self._lock:
            self._file.seek(index * SIZE)
            return self._file.read(SIZE)


@dataclass(frozen=True, slots=True, eq=False)
class StoredFingerprint:
    """A fingerprint in a file. ``bytes()`` reads it; it equals any other one with the same bytes."""

    file: FingerprintFile
    index: int

    def __bytes__(self) -> bytes:
        return self.file.read(self.index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredFingerprint) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))


class FingerprintArrays(NamedTuple):
    """Some fingerprints as arrays."""

    luma: np.ndarray  # uint8 [N, 64, 64]
    chroma: np.ndarray  # chrominance, uint8 [N, 2, 8, 8]; 128 is grey
    aspects: np.ndarray  # width divided by height of the image, float32 [N]


def load_fingerprints(packed: Sequence[SupportsBytes], rows: np.ndarray) -> FingerprintArrays:
    """Unpack the fingerprints at some indices ``[n]``; equal indices are read once."""
    distinct, inverse = np.unique(rows, return_inverse=True)
    content = np.frombuffer(b"".join(bytes(packed[row]) for row in distinct), np.uint8)
    content = content.reshape(-1, SIZE)[inverse]
    luma, chroma, shapes = np.split(content, (_LUMA_BYTES, _LUMA_BYTES + 2 * _CHROMA_BYTES), axis=1)
    widths, heights = np.ascontiguousarray(shapes).view("<u2").astype(np.float32).T
    return FingerprintArrays(
        luma.reshape(-1, SIDE, SIDE), chroma.reshape(-1, 2, CHROMA_SIDE, CHROMA_SIDE), widths / heights
    )
