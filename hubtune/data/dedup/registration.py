"""Image registration: align two images by an affine map, and measure how well they agree.

A copy shows the same edges in the same places everywhere; two images of similar objects do not. The map and a
change of brightness are found by Gauss–Newton steps (Lucas and Kanade, 1981), from coarse to fine, with
weights that decrease for large residuals.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, SupportsBytes

import numpy as np
from scipy import ndimage

from hubtune.data.dedup.candidates import WINDOWS, CandidatePairs
from hubtune.data.dedup.similarity import (
    centred_grid,
    compare_chroma,
    compare_structure,
    is_informative,
    map_points,
    measure_detail,
    sample_bilinear,
    valid_pixels,
)
from hubtune.data.scan.fingerprint import CHROMA_SIDE, SIDE, load_fingerprints
from hubtune.hardware.cpu import cores

_PAIRS_PER_BATCH = 256
# Pixels of a block, so that its arrays stay in the processor's cache instead of going through memory.
_PIXELS_PER_BLOCK = 2**17
# Side in pixels, steps, and least agreement of structure to go on. Most candidates differ, and are dropped at
# 16 pixels, at a sixteenth of the cost.
_LEVELS = ((16, 4, 0.7), (32, 4, 0.8), (64, 4, 0.0))
_BLUR = 0.6  # pixels at 64; without, edges between pixels have no usable gradient
# Limits of plausible maps: a crop, a rotation or a border. Any image can be distorted into a blot.
_MIN_SCALE, _MAX_SCALE, _MAX_STRETCH = 0.6, 1.5, 1.4
_MIN_OVERLAP = 0.5  # share of the copy that must show the image
# Least area of a copy, as a share of the image, for which gradients are computed: maps of less are singular.
_MIN_AREA = 0.05
_MAX_STEP = 0.08  # shares of the image's side
# Share of the variance in fine detail below which an image is smooth, or a gradient.
_SMOOTH_DETAIL, _GRADIENT_DETAIL = 0.015, 0.003
_HIGH_CONTRAST = 70  # standard deviation in luma levels


class Registration(NamedTuple):
    """How well the images of pairs agree when they are aligned; each attribute is an array ``[M]``.

    Attributes:
        structure: agreement of structure, at most 1; 0 for implausible maps.
        chroma_error: difference of colours, root mean square in chrominance levels; infinite for pairs that
            were dropped because of their structure.
        distortion: the cosine between what were right angles, or the logarithm of the ratio by which the
            sides were stretched, whichever is larger. Stretching a whole image is not a distortion.
        smooth: whether one of the two has high contrast and little detail, as enlarged writing has: similar
            images agree nearly as well as copies then.
        gradient: whether one of the two has hardly any edge, as a shadow on a wall: many images agree
        valid_share: share of the copy that is neither blown out, nor black, nor outside the image.
    """

    structure: np.ndarray
    chroma_error: np.ndarray
    distortion: np.ndarray
    smooth: np.ndarray
    gradient: np.ndarray
    valid_share: np.ndarray


def register_pairs(
    fingerprints: Sequence[SupportsBytes],
    pairs: CandidatePairs,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Registration:
    """Align and compare the images of at least one pair, in threads.

    ``advance`` receives the number of pairs done, and that of all pairs.
    """
    batches = [
        CandidatePairs(*(column[start : start + _PAIRS_PER_BATCH] for column in pairs))
        for start in range(0, len(pairs.image), _PAIRS_PER_BATCH)
    ]
    # Threads suffice: NumPy and SciPy release Python's lock while they compute.
    with ThreadPoolExecutor(cores()) as pool:
        results = []
        for result in pool.map(partial(_register_batch, fingerprints), batches):
            results.append(result)
            advance(min(len(results) * _PAIRS_PER_BATCH, len(pairs.image)), len(pairs.image))
    return Registration(*(np.concatenate(column) for column in zip(*results, strict=True)))


def _register_batch(fingerprints: Sequence[SupportsBytes], pairs: CandidatePairs) -> Registration:
    image, copy = (load_fingerprints(fingerprints, rows) for rows in (pairs.image, pairs.copy))
    aspects = np.where(pairs.flip & 4, 1 / image.aspects, image.aspects)
    matrices, offsets = _initial_maps(aspects, pairs)
    moving, fixed = (
        ndimage.gaussian_filter(luma.astype(np.float32), (0, _BLUR, _BLUR))
        for luma in (_apply_flips(image.luma, pairs.flip), copy.luma)
    )
    structure, distortion, valid_share = np.zeros((3, len(moving)), np.float32)
    chroma_error = np.full(len(moving), np.inf, np.float32)
    smooth, gradient = np.zeros((2, len(moving)), bool)
    result = Registration(structure, chroma_error, distortion, smooth, gradient, valid_share)
    near = np.arange(len(moving))
    for side, steps, least in _LEVELS:
        level = _downsample(moving[near], side), _downsample(fixed[near], side)
        size = _PIXELS_PER_BLOCK // side**2
        for start in range(0, len(near), size):
            block = slice(start, start + size)
            rows = near[block]
            matrices[rows], offsets[rows], structure[rows] = _refine(
                level[0][block], level[1][block], matrices[rows], offsets[rows], steps
            )
        structure[near] *= _is_plausible(matrices[near], offsets[near], aspects[near])
        near = near[structure[near] > least]
        if not len(near):
            return result
    chroma = _apply_flips(image.chroma[near], pairs.flip[near])
    chroma_error[near] = compare_chroma(chroma, copy.chroma[near], matrices[near], offsets[near])
    distortion[near] = _measure_distortion(matrices[near], aspects[near], copy.aspects[near])
    for images in (moving[near], fixed[near]):
        detail, variance = measure_detail(images)
        smooth[near] |= (detail < _SMOOTH_DETAIL) & (variance > _HIGH_CONTRAST**2)
        gradient[near] |= detail < _GRADIENT_DETAIL
    places, inside = map_points(matrices[near], offsets[near], centred_grid(SIDE))
    values = sample_bilinear(moving[near], places)
    valid_share[near] = is_informative(values, fixed[near].reshape(values.shape), inside).mean(axis=1)
    return result


def _initial_maps(aspects: np.ndarray, pairs: CandidatePairs) -> tuple[np.ndarray, np.ndarray]:
    """The maps of the windows that matched, for flipped images of these aspect ratios."""
    maps = [
        WINDOWS[window].flip(flip).affine(aspect)
        for window, flip, aspect in zip(pairs.window, pairs.flip, aspects, strict=True)
    ]
    matrices, offsets = zip(*maps, strict=True)
    return np.array(matrices, np.float32), np.array(offsets, np.float32)


def _apply_flips(images: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Flip each of the images ``[M, …, side, side]``."""
    flipped = images.copy()
    swap = (flips & 4) > 0
    flipped[swap] = flipped[swap].swapaxes(-1, -2)
    upside_down = (flips & 2) > 0
    flipped[upside_down] = flipped[upside_down][..., ::-1, :]
    mirror = (flips & 1) > 0
    flipped[mirror] = flipped[mirror][..., ::-1]
    return flipped


def _downsample(images: np.ndarray, side: int) -> np.ndarray:
    factor = images.shape[1] // side
    return images.reshape(len(images), side, factor, side, factor).mean(axis=(2, 4))


def _is_plausible(matrices: np.ndarray, offsets: np.ndarray, aspects: np.ndarray) -> np.ndarray:
    """Whether maps are within the limits of copies: bool ``[M]``."""
    axes = np.stack([np.ones_like(aspects), aspects, 1 / aspects, np.ones_like(aspects)], axis=1)
    scales = np.linalg.svd(matrices * axes.reshape(-1, 2, 2), compute_uv=False)
    _, inside = map_points(matrices, offsets, centred_grid(CHROMA_SIDE))
    return (
        (scales[:, 1] > _MIN_SCALE)
        & (scales[:, 0] < _MAX_SCALE)
        & (scales[:, 0] < _MAX_STRETCH * scales[:, 1])
        & (inside.mean(axis=1) > _MIN_OVERLAP)
    )


def _measure_distortion(matrices: np.ndarray, aspects: np.ndarray, copy_aspects: np.ndarray) -> np.ndarray:
    """Deviation of maps from what copying does, see :class:`Registration`: ``[M]``."""
    # The copy's axes in the image, in shares of its height.
    scaled = matrices * np.stack([aspects, np.ones_like(aspects)], axis=1)[..., None]
    right, down = np.moveaxis(scaled, 2, 0)
    widths, heights = np.linalg.norm(right, axis=1), np.linalg.norm(down, axis=1)
    # Either the copy kept the image's aspect ratio, or it was stretched as a whole to its own.
    stretches = [np.abs(np.log(widths / heights / ratio)) for ratio in (aspects, copy_aspects)]
    return np.maximum(np.abs((right * down).sum(axis=1)) / (widths * heights), np.minimum(*stretches))


def _refine(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Improved maps and their agreement of structure; where it got worse, the maps as they were."""
    # Steps can diverge if little of an image is left after it was brightened.
    before = compare_structure(moving, fixed, matrices, offsets)
    new_matrices, new_offsets = _gauss_newton(moving, fixed, matrices, offsets, steps)
    after = compare_structure(moving, fixed, new_matrices, new_offsets)
    better = (after > before)[:, None]
    return (
        np.where(better[..., None], new_matrices, matrices),
        np.where(better, new_offsets, offsets),
        np.maximum(before, after),
    )


def _gauss_newton(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the difference of float32 images ``[M, side, side]`` by steps on map, gain and brightness."""
    count, side, _ = fixed.shape
    points = centred_grid(side)
    target = fixed.reshape(count, -1)
    for _ in range(steps):
        places, inside = map_points(matrices, offsets, points)
        values = sample_bilinear(moving, places)
        right, down = _gradients(values, matrices, side)
        weights = valid_pixels(values, target, inside, side)
        total = weights.sum(axis=1, keepdims=True) + 1e-6
        values -= (weights * values).sum(axis=1, keepdims=True) / total
        error = target - (weights * target).sum(axis=1, keepdims=True) / total
        gain = (weights * values * error).sum(axis=1) / np.maximum((weights * values**2).sum(axis=1), 1e-3)
        gain = gain.clip(0.2, 5)[:, None]
        error -= gain * values
        # Cauchy weights: a logo or a blown-out corner must not pull the map.
        spread = np.sqrt((weights * error**2).sum(axis=1, keepdims=True) / total) + 2
        weights /= 1 + (error / (2 * spread)) ** 2
        right *= gain
        down *= gain
        x, y = points.T
        parameters = [right * x, right * y, right, down * x, down * y, down, values, np.ones_like(values)]
        jacobian = np.stack(parameters, axis=1)
        weighted = jacobian * weights[:, None]
        normal = weighted @ jacobian.transpose(0, 2, 1)
        # Damping (Levenberg) for directions that the image leaves open, such as along a single edge.
        damping = 1e-3 * np.trace(normal, axis1=1, axis2=2) / 8 + 1e-3
        normal += damping[:, None, None] * np.diag([1, 1, 0.2, 1, 1, 0.2, 0.01, 0.01]).astype(np.float32)
        step = np.linalg.solve(normal, weighted @ error[..., None])[:, :6, 0].clip(-_MAX_STEP, _MAX_STEP)
        matrices = matrices + step[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
        offsets = offsets + step[:, [2, 5]]
    return matrices, offsets


def _gradients(values: np.ndarray, matrices: np.ndarray, side: int) -> np.ndarray:
    """Gradients of the image (right, down) at the sampled points, per side of the image: ``[2, M, P]``."""
    # Taken from the sampled image and rotated back by the inverse map, which saves sampling two more images.
    down, right = (slope * side for slope in np.gradient(values.reshape(-1, side, side), axis=(1, 2)))
    sampled = np.stack([right, down], axis=1).reshape(len(values), 2, -1)
    (right_right, right_down), (down_right, down_down) = np.moveaxis(matrices, 0, -1)
    area = right_right * down_down - right_down * down_right
    area = np.where(np.abs(area) < _MIN_AREA, _MIN_AREA, area)
    inverse = np.array([[down_down, -down_right], [-right_down, right_right]]) / area
    return np.einsum("ijm,mjp->imp", inverse, sampled)
