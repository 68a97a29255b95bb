"""What of a picture is kept to find its near-duplicates: a small copy of it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Fingerprints:
    """Many fingerprints as arrays.

    Attributes:
        grey: luma ``[N, 64, 64]``, uint8.
        colours: chrominance ``[N, 2, 8, 8]``, uint8; 128 is grey.
        shapes: width and height, pixels, of what the copies were made from, ``[N, 2]``, float32.
    """

    grey: np.ndarray
    colours: np.ndarray
    shapes: np.ndarray

    @classmethod
    def unpack(cls, packed: Sequence[bytes]) -> "Fingerprints":
        """Read what :func:`fingerprint` has made."""
        content = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, SIZE)
        grey, colours, shapes = np.split(content, (_GREY, _GREY + 2 * _COLOUR), axis=1)
        return cls(
            grey.reshape(-1, SIDE, SIDE),
            colours.reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE),
            np.ascontiguousarray(shapes).view("<u2").astype(np.float32),
        )

    def __len__(self) -> int:
        return len(self.grey)

    @property
    def aspects(self) -> np.ndarray:
        """Width through height, ``[N]``."""
        return self.shapes[:, 0] / self.shapes[:, 1]
