"""What is to be known of a picture before anything relies on it, from one look at its file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsBytes

import numpy as np
from PIL import Image

from hubtune.data.images.decode import check_ends, check_pixels, read_content
from hubtune.data.scan.fingerprint import fingerprint

VERSION = 1
"""Raised when the same file comes to give other facts."""

SIDE = 256
"""The long side at which pictures are judged, pixels; smaller ones are judged as they are."""

# Of a larger file, the header is looked at before it is read: it may be a film.
_LARGE = 64 * 2**20
_TILE = 16  # pixels a side
# Added to the deviation of luma, so that the noise of even tiles does not pass for detail.
_NOISE = 2.0
_SHARPEST = 0.95  # the share of tiles that is less sharp than what stands for the picture
_ENDS = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What one look at a picture tells.

    Attributes:
        sha256: of the file's bytes, in hexadecimal.
        format: of the file, by Pillow's name, such as ``"JPEG"``.
        mode: as it is stored, by Pillow's name, such as ``"RGB"``.
        width: pixels, upright.
        height: likewise.
        orientation: EXIF orientation, 1–8.
        frames: how many pictures the file holds; only the first is used.
        brightness: mean luma, 0–1.
        contrast: standard deviation of luma, 0–1.
        darkest: a twentieth of the pixels has no more luma, 0–1.
        brightest: a twentieth of the pixels has more luma, 0–1.
        sharpness: see :func:`sharpness_of`.
        fingerprint: see :func:`hubtune.data.scan.fingerprint.fingerprint`; ``bytes`` of it may be in a file.
    """

    sha256: str
    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    brightness: float
    contrast: float
    darkest: float
    brightest: float
    sharpness: float
    fingerprint: SupportsBytes


def inspect_image(path: Path) -> ImageInfo:
    """Read a picture's file, once and to its last byte.

    Raises:
        PictureError: as :func:`hubtune.data.images.decode.decode`.
    """
    if _is_large(path):
        check_ends(path)
    content = read_content(path)
    checked = check_pixels(path, content, side=SIDE)
    small = checked.small
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = small.convert("L")
    shares = np.array(grey.histogram()) / (grey.width * grey.height)
    luma = np.arange(256) / 255
    brightness = float(shares @ luma)
    darkest, brightest = np.searchsorted(np.cumsum(shares), _ENDS) / 255
    return ImageInfo(
        hashlib.sha256(content).hexdigest(),
        checked.format,
        checked.mode,
        checked.width,
        checked.height,
        checked.orientation,
        checked.frames,
        brightness=brightness,
        contrast=float(np.sqrt(shares @ (luma - brightness) ** 2)),
        darkest=float(darkest),
        brightest=float(brightest),
        sharpness=sharpness_of(np.asarray(grey)),
        fingerprint=fingerprint(small),
    )


def sharpness_of(luma: np.ndarray) -> float:
    """Say how sharp the sharpest parts of a picture are, whatever its contrast.

    The deviation of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000)
    of a whole picture says as much of what is on it as of its focus. Here it is taken tile by tile and
    relative to the deviation of luma there, and the 95th percentile counts: a sharp picture may be even
    nearly everywhere, a blurred one is sharp nowhere.

    Args:
        luma: ``[height, width]`` uint8.

    Returns:
        About 0.35 where everything is blurred, 1.5 for a usual photo; 0 where luma is the same everywhere.
    """
    height, width = luma.shape
    if min(height, width) < 3:
        return 0.0
    values = luma.astype(np.int32)
    inner = values[1:-1, 1:-1]
    laplacian = values[1:-1, :-2] + values[1:-1, 2:] + values[:-2, 1:-1] + values[2:, 1:-1] - 4 * inner
    ratios = _tile_deviations(laplacian) / (_tile_deviations(inner) + _NOISE)
    return float(np.sort(ratios, axis=None)[int(_SHARPEST * (ratios.size - 1))])


def _tile_deviations(values: np.ndarray) -> np.ndarray:
    """Standard deviation in each whole tile; in all of what is smaller than one. From integers, exactly."""
    height, width = values.shape
    high, wide = min(_TILE, height), min(_TILE, width)
    tiles = values[: height // high * high, : width // wide * wide]
    tiles = tiles.reshape(height // high, high, width // wide, wide)
    count = high * wide
    sums = np.einsum("aibj->ab", tiles).astype(np.int64)
    squares = np.einsum("aibj,aibj->ab", tiles, tiles).astype(np.int64)
    return np.sqrt(squares * count - sums * sums) / count


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > _LARGE
    except OSError:
        return False  # why it cannot be read is said where it is
