"""Mixing pictures of a batch with one another: mixup and CutMix."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hubtune.recipe.augment import AugmentSettings


def mix_batch(
    arrays: Sequence[np.ndarray],
    labels: Sequence[int] | np.ndarray,
    num_classes: int,
    settings: AugmentSettings,
    random: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Mix each picture of a batch with another one, and their labels in the same proportion.

    A picture's partner is the next one in a random order, of those that have its shape; a picture whose shape
    no other has stays as it is. Mixup (Zhang et al., "mixup: Beyond Empirical Risk
    Minimization", 2018) blends the two; CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong
    Classifiers with Localizable Features", 2019) puts a rectangle of the partner in its own place into the
    picture. The proportion is one draw of Beta(α, α) a batch. Where both are on, each batch has one of them,
    with equal probability.

    The caller seeds it by the run's seed and the step, ``generator(seed, "mix", step)``: a step is then mixed
    the same in a resumed run, and however many threads prepare its pictures.

    Args:
        arrays: network inputs, float32 ``[channels, height, width]``, which may differ in shape; they are not
            changed.
        labels: each one's class, from 0.
        num_classes: number of classes.
        settings: what to do; with neither mixup nor CutMix, the arrays come back as they are.
        random: the source of all draws.

    Returns:
        The mixed inputs, in order, and how much of each class is in each, float32 ``[N, num_classes]``, whose
        rows add up to 1. Under CutMix that is exactly the share of the pixels.

    Example:
        >>> arrays, targets = mix_batch(arrays, labels, 5, settings, generator(seed, "mix", step))
    """
    targets = np.zeros((len(arrays), num_classes), np.float32)
    targets[np.arange(len(arrays)), np.asarray(labels, dtype=np.int64)] = 1
    if not settings.mixes:
        return [*arrays], targets
    cuts = settings.cutmix > 0 and (settings.mixup == 0 or random.random() < 0.5)
    alpha = settings.cutmix if cuts else settings.mixup
    foreign = random.beta(alpha, alpha)  # the partner's part
    centre = random.random(2)
    mixed = [*arrays]
    of_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, array in enumerate(arrays):
        of_shape[array.shape].append(index)
    pure = targets.copy()
    for (_, height, width), members in of_shape.items():
        if len(members) == 1:
            continue
        share = foreign
        if cuts:
            top, bottom = _span(height, foreign, centre[0])
            left, right = _span(width, foreign, centre[1])
            share = (bottom - top) * (right - left) / (height * width)
        order = random.permutation(members)
        for index, partner in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
            if cuts:
                mixed[index] = arrays[index].copy()
                mixed[index][:, top:bottom, left:right] = arrays[partner][:, top:bottom, left:right]
            else:
                mixed[index] = arrays[index] + np.float32(foreign) * (arrays[partner] - arrays[index])
            targets[index] += np.float32(share) * (pure[partner] - pure[index])
    return mixed, targets


def _span(side: int, share: float, centre: float) -> tuple[int, int]:
    """Where a rectangle with a share of the area begins and ends on a side, cut off at the borders."""
    half = round(side * math.sqrt(share)) / 2
    middle = centre * side
    return max(0, round(middle - half)), min(side, round(middle + half))
