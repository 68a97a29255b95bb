"""Whether one picture is a copy of another: laid onto each other as well as can be, and compared.

A copy shows the same edges at the same places everywhere; two pictures of like things do not. The one is laid
onto the other by an affine map and a change of brightness, found by Gauss–Newton steps (Lucas and Kanade,
1981) whose residuals are weighted down where they are large; then their structure is compared place by place
(as in SSIM, Wang et al., 2004).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from hubtune.data.dedup.candidates import WINDOWS, CandidatePairs, grid
from hubtune.data.scan.fingerprint import COLOUR_SIDE, SIDE, Fingerprints

_AT_ONCE = 256  # pairs
_PIXELS_AT_ONCE = 2**17  # they fill the processor's cache rather than the memory
# Luma outside of this is blown out, or the filling of a rotated picture's corners: it says nothing.
_DARKEST, _BRIGHTEST = 4, 251
# A smaller share of a picture that says something is not enough; all of it counts then.
_LEAST_VALID = 0.08
_SMALLEST_SCALE, _LARGEST_SCALE, _LARGEST_STRETCH = 0.6, 1.5, 1.4
_SMALLEST_AREA = 0.05  # of a copy, as a share of the picture, that a step is taken from
_LEAST_OVERLAP = 0.5  # share of the copy that must come from inside of the picture
_LARGEST_STEP = 0.08  # shares of the picture's side
# From coarse to fine: pixels a side, steps, and the agreement of structure that a pair needs to go further.
_LEVELS = ((16, 4, 0.7), (32, 4, 0.8), (64, 4, 0.0))
_NEIGHBOURHOOD = 7  # pixels a side
# Pixels a side around one that says nothing, and at the border, that say nothing either: there, a rotation
# may have left a wedge too thin to be seen.
_BLURRED = {16: 3, 32: 3, 64: 5}
_NOISE = 0.5  # luma levels, squared
_GREY = 2.0  # chrominance levels
_HIGH_CONTRAST = 70  # luma levels
# Shares of the variance that are lost by blurring by two pixels.
_LITTLE_DETAIL, _GRADIENT = 0.015, 0.003


class Likeness(NamedTuple):
    """How like the pictures of pairs are, laid onto each other; each attribute is an array ``[M]``.

    Attributes:
        structure: how well their structure agrees, at most 1; 0 for pairs without anything in common.
        colour: how much their colours differ, root mean square in chrominance levels; infinite for pairs
            whose structure settles it.
        bend: how far the map is from turning, moving and enlarging, 0 for none of it: the cosine between
            what were right angles, or the logarithm of the ratio by which the sides were stretched, whichever
            is more. A picture that was stretched as a whole is not bent.
        smooth: whether one of the two is clear and smooth, as enlarged writing is: copies agree but for a
            trace then, and like pictures nearly as well.
        gradient: whether one of the two has hardly any edge, as a shadow on a wall: many agree with it.
        telling: share of the copy that says something: neither blown out, nor black, nor outside.
    """

    structure: np.ndarray
    colour: np.ndarray
    bend: np.ndarray
    smooth: np.ndarray
    gradient: np.ndarray
    telling: np.ndarray


def likeness(prints: Fingerprints, pairs: CandidatePairs) -> Likeness:
    """Lay each pair onto each other, and compare; there is one at least."""
    parts = [
        CandidatePairs(*(column[start : start + _AT_ONCE] for column in pairs))
        for start in range(0, len(pairs.image), _AT_ONCE)
    ]
    # NumPy computes without holding Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compared = list(pool.map(partial(_compare, prints), parts))
    return Likeness(*(np.concatenate(column) for column in zip(*compared, strict=True)))


def _compare(prints: Fingerprints, pairs: CandidatePairs) -> Likeness:
    image, copy = prints.take(pairs.image), prints.take(pairs.copy)
    aspects = np.where(pairs.flip & 4, 1 / image.aspects, image.aspects)
    matrices, offsets = _starts(aspects, pairs)
    moving, fixed = (
        ndimage.gaussian_filter(each.astype(np.float32), (0, 0.6, 0.6))
        for each in (_turned(image.grey, pairs.flip), copy.grey)
    )
    structure, bend, telling = np.zeros((3, len(moving)), np.float32)
    colour = np.full(len(moving), np.inf, np.float32)
    smooth, gradient = np.zeros((2, len(moving)), bool)
    near = np.arange(len(moving))
    for side, steps, least in _LEVELS:
        level = _reduced(moving[near], side), _reduced(fixed[near], side)
        at_once = _PIXELS_AT_ONCE // side**2
        for start in range(0, len(near), at_once):
            part = slice(start, start + at_once)
            rows = near[part]
            matrices[rows], offsets[rows], structure[rows] = _lay(
                level[0][part], level[1][part], matrices[rows], offsets[rows], steps
            )
        structure[near] *= _plausible(matrices[near], offsets[near], aspects[near])
        near = near[structure[near] > least]
        if not len(near):
            return Likeness(structure, colour, bend, smooth, gradient, telling)
    colours = _turned(image.colours[near], pairs.flip[near])
    colour[near] = _colour_difference(colours, copy.colours[near], matrices[near], offsets[near])
    bend[near] = _bend(matrices[near], aspects[near], copy.aspects[near])
    for images in (moving[near], fixed[near]):
        detail, variance = _detail(images)
        smooth[near] |= (detail < _LITTLE_DETAIL) & (variance > _HIGH_CONTRAST**2)
        gradient[near] |= detail < _GRADIENT
    places, inside = _places(matrices[near], offsets[near], _points(SIDE))
    values = _sample(moving[near], places)
    telling[near] = _says_something(values, fixed[near].reshape(values.shape), inside).mean(axis=1)
    return Likeness(structure, colour, bend, smooth, gradient, telling)


def _bend(matrices: np.ndarray, aspects: np.ndarray, copy_aspects: np.ndarray) -> np.ndarray:
    """How far maps are from what copying does, see :class:`Likeness`: ``[M]``."""
    # A copy's axes in the picture, in shares of its height.
    right, down = np.moveaxis(matrices * np.stack([aspects, np.ones_like(aspects)], axis=1)[..., None], 2, 0)
    widths, heights = np.linalg.norm(right, axis=1), np.linalg.norm(down, axis=1)
    stretches = [np.abs(np.log(widths / heights / each)) for each in (aspects, copy_aspects)]
    return np.maximum(np.abs((right * down).sum(axis=1)) / (widths * heights), np.minimum(*stretches))


def _detail(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of the variance that blurring takes, and the variance: ``[M]`` each."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    lost = centred - ndimage.gaussian_filter(centred, (0, 2, 2))
    variance = (centred**2).mean(axis=(1, 2))
    return (lost**2).mean(axis=(1, 2)) / np.maximum(variance, 1), variance


def _plausible(matrices: np.ndarray, offsets: np.ndarray, aspects: np.ndarray) -> np.ndarray:
    """Whether maps are those of a crop, a rotation or a border: any picture can be bent into a blot."""
    axes = np.stack([np.ones_like(aspects), aspects, 1 / aspects, np.ones_like(aspects)], axis=1)
    scales = np.linalg.svd(matrices * axes.reshape(-1, 2, 2), compute_uv=False)
    _, inside = _places(matrices, offsets, _points(COLOUR_SIDE))
    return (
        (scales[:, 1] > _SMALLEST_SCALE)
        & (scales[:, 0] < _LARGEST_SCALE)
        & (scales[:, 0] < _LARGEST_STRETCH * scales[:, 1])
        & (inside.mean(axis=1) > _LEAST_OVERLAP)
    )


def _turned(images: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Pictures ``[M, …, side, side]``, each in its flip."""
    turned = images.copy()
    swap = (flips & 4) > 0
    turned[swap] = turned[swap].swapaxes(-1, -2)
    upside_down = (flips & 2) > 0
    turned[upside_down] = turned[upside_down][..., ::-1, :]
    mirror = (flips & 1) > 0
    turned[mirror] = turned[mirror][..., ::-1]
    return turned


def _starts(aspects: np.ndarray, pairs: CandidatePairs) -> tuple[np.ndarray, np.ndarray]:
    """The maps that windows of turned pictures of such aspects stand for: ``[M, 2, 2]`` and ``[M, 2]``."""
    maps = [
        WINDOWS[window].flipped(flip).affine(aspect)
        for window, flip, aspect in zip(pairs.window, pairs.flip, aspects, strict=True)
    ]
    matrices, offsets = zip(*maps, strict=True)
    return np.array(matrices, np.float32), np.array(offsets, np.float32)


def _reduced(images: np.ndarray, side: int) -> np.ndarray:
    factor = images.shape[1] // side
    return images.reshape(len(images), side, factor, side, factor).mean(axis=(2, 4))


def _lay(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The maps after so many steps and the structure's agreement, or as they were where that was better.

    Steps can lead astray, where little of a picture is left after it was brightened.
    """
    before = _structure(moving, fixed, matrices, offsets)
    moved = _align(moving, fixed, matrices, offsets, steps)
    after = _structure(moving, fixed, *moved)
    better = (after > before)[:, None]
    return (
        np.where(better[..., None], moved[0], matrices),
        np.where(better, moved[1], offsets),
        np.maximum(before, after),
    )


def _align(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Improve the maps by so many steps. Pictures are ``[M, side, side]``, float32."""
    count, side, _ = fixed.shape
    points = _points(side)
    target = fixed.reshape(count, -1)
    for _ in range(steps):
        places, inside = _places(matrices, offsets, points)
        values = _sample(moving, places)
        right, down = _slopes(values, matrices, side)
        weights = _valid(values, target, inside, side)
        total = weights.sum(axis=1, keepdims=True) + 1e-6
        values -= (weights * values).sum(axis=1, keepdims=True) / total
        error = target - (weights * target).sum(axis=1, keepdims=True) / total
        gain = (weights * values * error).sum(axis=1) / np.maximum((weights * values**2).sum(axis=1), 1e-3)
        gain = gain.clip(0.2, 5)[:, None]
        error -= gain * values
        spread = np.sqrt((weights * error**2).sum(axis=1, keepdims=True) / total) + 2
        weights /= 1 + (error / (2 * spread)) ** 2
        right *= gain
        down *= gain
        across, along = points.T
        changes = np.stack(
            [
                right * across,
                right * along,
                right,
                down * across,
                down * along,
                down,
                values,
                np.ones_like(values),
            ],
            axis=1,
        )
        weighted = changes * weights[:, None]
        normal = weighted @ changes.transpose(0, 2, 1)
        # A little towards no change at all, where a picture leaves the map open (Levenberg).
        damping = 1e-3 * np.trace(normal, axis1=1, axis2=2) / 8 + 1e-3
        normal += damping[:, None, None] * np.diag([1, 1, 0.2, 1, 1, 0.2, 0.01, 0.01]).astype(np.float32)
        step = np.linalg.solve(normal, weighted @ error[..., None])[:, :6, 0].clip(
            -_LARGEST_STEP, _LARGEST_STEP
        )
        matrices = matrices + step[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
        offsets = offsets + step[:, [2, 5]]
    return matrices, offsets


def _slopes(values: np.ndarray, matrices: np.ndarray, side: int) -> np.ndarray:
    """How the picture changes to the right and down at the sampled places, per picture's side: ``[2, M, P]``.

    They are read from the sampled picture, whose own directions the matrices say.
    """
    down, right = (slope * side for slope in np.gradient(values.reshape(-1, side, side), axis=(1, 2)))
    sampled = np.stack([right, down], axis=1).reshape(len(values), 2, -1)
    (right_right, right_down), (down_right, down_down) = np.moveaxis(matrices, 0, -1)
    area = right_right * down_down - right_down * down_right
    area = np.where(np.abs(area) < _SMALLEST_AREA, _SMALLEST_AREA, area)
    inverse = np.array([[down_down, -down_right], [-right_down, right_right]]) / area
    return np.einsum("ijm,mjp->imp", inverse, sampled)


@cache
def _points(side: int) -> np.ndarray:
    """The centres of the pixels of a copy, from its middle: ``[side², 2]``."""
    return (grid(side) - 0.5).astype(np.float32)


def _places(matrices: np.ndarray, offsets: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the points come from, ``[M, 2, P]``, and whether that is inside of the picture, ``[M, P]``."""
    places = matrices @ points.T + offsets[..., None]
    return places, ((places > 0) & (places < 1)).all(axis=1)


def _sample(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of pictures ``[M, side, side]`` at places ``[M, 2, P]``: ``[M, P]``."""
    count, side, _ = images.shape
    where = (places * side - 0.5).clip(0, side - 1.001)
    corner = where.astype(np.int32)
    right, down = (where - corner).swapaxes(0, 1)
    start = np.arange(count, dtype=np.int32)[:, None] * side**2 + corner[:, 1] * side + corner[:, 0]
    weights = ((1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down)
    flat = np.ascontiguousarray(images).reshape(-1)
    return sum(
        flat[start + step] * weight for step, weight in zip((0, 1, side, side + 1), weights, strict=True)
    )


def _says_something(values: np.ndarray, target: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Which pixels show something in both pictures, ``[M, P]``."""
    return inside & (target > _DARKEST) & (target < _BRIGHTEST) & (values > _DARKEST) & (values < _BRIGHTEST)


def _valid(values: np.ndarray, target: np.ndarray, inside: np.ndarray, side: int) -> np.ndarray:
    """What says something, as ``[M, P]`` of 0 and 1: all of the inside where that is too little."""
    good = _says_something(values, target, inside)
    # Pixels beside those that are blown out or filled are partly so themselves.
    size = (1, _BLURRED[side], _BLURRED[side])
    square = ndimage.minimum_filter(good.reshape(-1, side, side), size=size, mode="constant")
    good = square.reshape(good.shape)
    enough = good.mean(axis=1, keepdims=True) >= _LEAST_VALID
    return np.where(enough, good, inside).astype(np.float32)


def _structure(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Local correlation, weighed by the contrast of whichever of the two has more there: ``[M]``."""
    count, side, _ = fixed.shape
    places, inside = _places(matrices, offsets, _points(side))
    values = _sample(moving, places)
    valid = _valid(values, fixed.reshape(count, -1), inside, side).reshape(fixed.shape)
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
    # Contrasts in units of each picture's own, so that brightness makes no difference.
    relative = [
        np.sqrt(variance) / np.sqrt((variance * trust).sum(axis=(1, 2)) / total).clip(0.5)[:, None, None]
        for variance in (variance_moving, variance_fixed)
    ]
    weights = trust * np.maximum(*relative)
    correlation = covariance / (np.sqrt(variance_moving * variance_fixed) + _NOISE)
    # Once more by the square: where a little thing lies on a plain ground, the ground must not decide.
    means = [
        (each * correlation).sum(axis=(1, 2)) / (each.sum(axis=(1, 2)) + 1e-6)
        for each in (weights, weights**2)
    ]
    return (means[0] + means[1]) / 2


def _local_mean(images: np.ndarray) -> np.ndarray:
    return ndimage.uniform_filter(images, (0, _NEIGHBOURHOOD, _NEIGHBOURHOOD), mode="constant")


def _colour_difference(
    moving: np.ndarray, fixed: np.ndarray, matrices: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """What no change of saturation explains, root mean square, in the better direction: ``[M]``.

    Nothing for a picture in grey, which says nothing of colours.
    """
    count = len(fixed)
    places, inside = _places(matrices, offsets, _points(COLOUR_SIDE))
    sampled = [_sample(moving[:, channel].astype(np.float32), places) for channel in (0, 1)]
    first = np.stack(sampled, axis=1) - 128
    second = fixed.reshape(count, 2, -1).astype(np.float32) - 128
    weights = inside[:, None] + 1e-3
    total = 2 * weights.sum(axis=(1, 2))

    def mean(products: np.ndarray) -> np.ndarray:
        return (weights * products).sum(axis=(1, 2)) / total

    both, energies = mean(first * second), (mean(first**2), mean(second**2))
    unexplained = np.full(count, np.inf, np.float32)
    for one, other in (energies, energies[::-1]):
        gain = (both / np.maximum(one, 1e-6)).clip(0.4, 2.5)
        unexplained = np.minimum(unexplained, other - 2 * gain * both + gain**2 * one)
    grey = np.minimum(*energies) < _GREY**2
    return np.where(grey, 0, np.sqrt(unexplained.clip(0)))
