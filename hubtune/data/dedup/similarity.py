"""Compare images under affine maps: sampling, agreement of structure and of colours.

A map is a matrix ``A`` ``[2, 2]`` and an offset ``b`` ``[2]``: a point ``p`` of the copy, from its middle,
shows the point ``A p + b`` of the image. Coordinates (right, down) go from 0 to 1 over the image.
"""

from functools import cache

import numpy as np
from scipy import ndimage

from hubtune.data.dedup.candidates import pixel_grid
from hubtune.data.scan.fingerprint import CHROMA_SIDE

# Luma outside this range is blown out, or the filling of a rotated image's corners.
_MIN_LUMA, _MAX_LUMA = 4, 251
# If less than this share of the pixels is valid, all pixels inside the image are used: the few that are left
# would agree with anything.
_MIN_VALID_SHARE = 0.08
# Side in pixels of the square around an invalid pixel that is invalid as well, by side of the image. Also at
# the border, where a rotation may have left a wedge too thin to be noticed.
_INVALID_SQUARE = {16: 3, 32: 3, 64: 5}
_NEIGHBOURHOOD = 7  # pixels a side, as in SSIM
# Variance in squared luma levels below which correlation is dominated by noise.
_NOISE_VARIANCE = 0.5
_MIN_CHROMA = 2.0  # root mean square in chrominance levels; below, an image counts as grey


@cache
def centred_grid(side: int) -> np.ndarray:
    """Centres of the pixels of a copy, from its middle: float32 ``[side², 2]``."""
    return (pixel_grid(side) - 0.5).astype(np.float32)


def map_points(
    matrices: np.ndarray, offsets: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Map points ``[P, 2]``: their places ``[M, 2, P]``, and whether they are inside the image ``[M, P]``."""
    places = matrices @ points.T + offsets[..., None]
    return places, ((places > 0) & (places < 1)).all(axis=1)


def sample_bilinear(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate images ``[M, side, side]`` at places ``[M, 2, P]``: ``[M, P]``."""
    count, side, _ = images.shape
    coordinates = (places * side - 0.5).clip(0, side - 1.001)
    corner = coordinates.astype(np.int32)
    right, down = (coordinates - corner).swapaxes(0, 1)
    start = np.arange(count, dtype=np.int32)[:, None] * side**2 + corner[:, 1] * side + corner[:, 0]
    weights = ((1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down)
    flat = np.ascontiguousarray(images).reshape(-1)
    return sum(
        flat[start + step] * weight for step, weight in zip((0, 1, side, side + 1), weights, strict=True)
    )


def is_informative(values: np.ndarray, target: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Pixels that are inside the image, and neither black nor blown out in either image: bool ``[M, P]``."""
    return inside & (target > _MIN_LUMA) & (target < _MAX_LUMA) & (values > _MIN_LUMA) & (values < _MAX_LUMA)


def valid_pixels(values: np.ndarray, target: np.ndarray, inside: np.ndarray, side: int) -> np.ndarray:
    """Weights of the pixels to compare, 0 or 1, float32 ``[M, P]``; all inside if few are informative."""
    valid = is_informative(values, target, inside).reshape(-1, side, side)
    # Neighbours of invalid pixels are blends with them.
    size = (1, _INVALID_SQUARE[side], _INVALID_SQUARE[side])
    valid = ndimage.minimum_filter(valid, size=size, mode="constant").reshape(inside.shape)
    enough = valid.mean(axis=1, keepdims=True) >= _MIN_VALID_SHARE
    return np.where(enough, valid, inside).astype(np.float32)


def compare_structure(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Agreement of structure: local correlation, as in SSIM (Wang et al., 2004), weighted by contrast.

    Images and their possible copies, float32 ``[M, side, side]`` each, under maps ``[M, 2, 2]`` and
    ``[M, 2]`` → ``[M]``, at most 1.
    """
    count, side, _ = fixed.shape
    places, inside = map_points(matrices, offsets, centred_grid(side))
    values = sample_bilinear(moving, places)
    valid = valid_pixels(values, fixed.reshape(count, -1), inside, side).reshape(fixed.shape)
    values = values.reshape(fixed.shape)
    share = _local_mean(valid) + 1e-6

    def mean(images: np.ndarray) -> np.ndarray:
        return _local_mean(images * valid) / share

    mean_moving, mean_fixed = mean(values), mean(fixed)
    variance_moving = np.maximum(mean(values**2) - mean_moving**2, 0)
    variance_fixed = np.maximum(mean(fixed**2) - mean_fixed**2, 0)
    covariance = mean(values * fixed) - mean_moving * mean_fixed
    trust = valid * share
    total = trust.sum(axis=(1, 2)) + 1e-6
    # Contrast relative to each image's own, so that brightness makes no difference. The larger of the two
    # counts: an edge that only one image has must lower the result.
    contrasts = [
        np.sqrt(variance) / np.sqrt((variance * trust).sum(axis=(1, 2)) / total).clip(0.5)[:, None, None]
        for variance in (variance_moving, variance_fixed)
    ]
    weights = trust * np.maximum(*contrasts)
    correlation = covariance / (np.sqrt(variance_moving * variance_fixed) + _NOISE_VARIANCE)
    # Averaged with weights squared, so that a small object decides and not its plain background.
    plain, squared = (
        (weight * correlation).sum(axis=(1, 2)) / (weight.sum(axis=(1, 2)) + 1e-6)
        for weight in (weights, weights**2)
    )
    return (plain + squared) / 2


def _local_mean(images: np.ndarray) -> np.ndarray:
    return ndimage.uniform_filter(images, (0, _NEIGHBOURHOOD, _NEIGHBOURHOOD), mode="constant")


def compare_chroma(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Difference of colours that no change of saturation explains, in the direction that explains more.

    As :func:`compare_structure`, but of chrominance, uint8 ``[M, 2, 8, 8]``; the result is the root mean
    square in levels, and 0 if one of the two is grey, because a copy may have lost its colours.
    """
    count = len(fixed)
    places, inside = map_points(matrices, offsets, centred_grid(CHROMA_SIDE))
    sampled = [sample_bilinear(moving[:, channel].astype(np.float32), places) for channel in (0, 1)]
    first = np.stack(sampled, axis=1) - 128
    second = fixed.reshape(count, 2, -1).astype(np.float32) - 128
    weights = inside[:, None] + 1e-3
    total = 2 * weights.sum(axis=(1, 2))

    def mean(products: np.ndarray) -> np.ndarray:
        return (weights * products).sum(axis=(1, 2)) / total

    product, energies = mean(first * second), (mean(first**2), mean(second**2))
    unexplained = np.full(count, np.inf, np.float32)
    for one, other in (energies, energies[::-1]):
        gain = (product / np.maximum(one, 1e-6)).clip(0.4, 2.5)
        unexplained = np.minimum(unexplained, other - 2 * gain * product + gain**2 * one)
    grey = np.minimum(*energies) < _MIN_CHROMA**2
    return np.where(grey, 0, np.sqrt(unexplained.clip(0)))


def measure_detail(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the variance that a blur of two pixels removes, and the variance: ``[M]`` each."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    removed = centred - ndimage.gaussian_filter(centred, (0, 2, 2))
    variance = (centred**2).mean(axis=(1, 2))
    return (removed**2).mean(axis=(1, 2)) / np.maximum(variance, 1), variance
