"""Inspect an image file: read it once, to its last byte, and measure it."""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsBytes

import numpy as np
from PIL import Image

from hubtune.data.images.decode import read_content
from hubtune.data.images.verify import check_ends, check_pixels
from hubtune.data.scan.fingerprint import compute_fingerprint

VERSION = 2
"""Raised when the same file gives another :class:`ImageInfo`."""

SIDE = 256
"""Long side at which images are measured, in pixels; smaller ones are measured as they are."""

# The header of a larger file is checked before the file is read: it may be a film.
_LARGE_BYTES = 64 * 2**20
_TILE = 16  # pixels a side
# Added to the deviation of luma, so that noise of uniform tiles does not count as detail.
_NOISE = 2.0
_SHARPNESS_QUANTILE = 0.95
_LUMA_QUANTILES = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Measurements of an image file.

    Attributes:
        sha256: of the file's bytes, in hexadecimal.
        format: of the file, by Pillow's name, such as ``"JPEG"``.
        mode: as stored, by Pillow's name, such as ``"RGB"``.
        width, height: in pixels, upright.
        orientation: EXIF orientation, 1–8.
        frames: number of images in the file; only the first is used.
        bits: that a 16-bit image uses, see :func:`~hubtune.data.images.bit_depth.used_bits`; the other
            measurements are those of the image scaled from as many.
        brightness: mean luma, 0–1.
        contrast: standard deviation of luma, 0–1.
        darkest, brightest: 5th and 95th percentile of luma, 0–1.
        sharpness: see :func:`measure_sharpness`.
        fingerprint: see :func:`~hubtune.data.scan.fingerprint.compute_fingerprint`; may be in a file.
    """

    sha256: str
    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    bits: int
    brightness: float
    contrast: float
    darkest: float
    brightest: float
    sharpness: float
    fingerprint: SupportsBytes


def inspect_image(path: Path) -> ImageInfo:
    """Inspect an image file, about 2 ms for a photo of 320 × 240 pixels; raise ImageError as ``decode``."""
    with contextlib.suppress(OSError):  # read_content reports it
        if path.stat().st_size > _LARGE_BYTES:
            check_ends(path)
    content = read_content(path)
    checked = check_pixels(path, content, side=SIDE)
    small = checked.small
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = small.convert("L")
    shares = np.array(grey.histogram()) / (grey.width * grey.height)
    luma = np.arange(256) / 255
    brightness = float(shares @ luma)
    darkest, brightest = np.searchsorted(np.cumsum(shares), _LUMA_QUANTILES) / 255
    return ImageInfo(
        hashlib.sha256(content).hexdigest(),
        *checked[:-1],
        brightness=brightness,
        contrast=float(np.sqrt(shares @ (luma - brightness) ** 2)),
        darkest=float(darkest),
        brightest=float(brightest),
        sharpness=measure_sharpness(np.asarray(grey)),
        fingerprint=compute_fingerprint(small),
    )


def measure_sharpness(luma: np.ndarray) -> float:
    """Measure the sharpness of the sharpest parts of an image, independently of its contrast.

    The usual measure, the deviation of the Laplacian of a whole image (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", 2000), depends on the content as much as on the focus. Here it is
    taken in tiles of 16 × 16 pixels, relative to the deviation of luma in each, and the 95th percentile
    counts: a sharp image may be uniform nearly everywhere, a blurred one is sharp nowhere.

    ``luma`` is uint8 ``[height, width]``. The result is about 0.35 for a blurred image, 1.5 for a usual
    photo, 0 for uniform luma.
    """
    height, width = luma.shape
    if min(height, width) < 3:
        return 0.0
    values = luma.astype(np.int32)
    inner = values[1:-1, 1:-1]
    laplacian = values[1:-1, :-2] + values[1:-1, 2:] + values[:-2, 1:-1] + values[2:, 1:-1] - 4 * inner
    ratios = _tile_deviations(laplacian) / (_tile_deviations(inner) + _NOISE)
    return float(np.sort(ratios, axis=None)[int(_SHARPNESS_QUANTILE * (ratios.size - 1))])


def _tile_deviations(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each whole tile; an image smaller than a tile is one tile."""
    height, width = values.shape
    high, wide = min(_TILE, height), min(_TILE, width)
    tiles = values[: height // high * high, : width // wide * wide]
    tiles = tiles.reshape(height // high, high, width // wide, wide)
    count = high * wide
    # Integer sums: exactly the same on every machine.
    sums = np.einsum("aibj->ab", tiles).astype(np.int64)
    squares = np.einsum("aibj,aibj->ab", tiles, tiles).astype(np.int64)
    return np.sqrt(squares * count - sums * sums) / count
