"""What of a picture is kept to find its near-duplicates: a small grey picture of it."""

import struct

import numpy as np
from PIL import Image

VERSION = 1
"""Fingerprints of another version are not comparable."""

SIDE = 64
"""Pixels a side of the grey picture."""

_SHAPE = struct.Struct("<HH")
SIZE = SIDE * SIDE + _SHAPE.size
"""Bytes of a fingerprint."""


def fingerprint(image: Image.Image) -> bytes:
    """Make the fingerprint of a picture.

    Args:
        image: upright, mode ``RGB`` or ``L``; a reduced one does, while its short side has 64 pixels.

    Returns:
        :data:`SIZE` bytes: luma of the picture, stretched to a square of :data:`SIDE` pixels, row by row;
        then width and height, pixels, of ``image``.
    """
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return grey.tobytes() + _SHAPE.pack(min(image.width, 65535), min(image.height, 65535))


def unpack(fingerprints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the grey pictures ``[N, SIDE, SIDE]`` uint8, and width through height of each ``[N]`` float32."""
    content = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(-1, SIZE)
    shapes = content[:, SIDE * SIDE :].copy().view("<u2").astype(np.float32)
    return content[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE), shapes[:, 0] / shapes[:, 1]
