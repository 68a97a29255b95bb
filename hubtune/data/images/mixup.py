"""Mixing the images of a batch: mixup and CutMix."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hubtune.recipe.augment import AugmentSettings


def mix_batch(
    arrays: Sequence[np.ndarray],
    targets: np.ndarray,
    settings: AugmentSettings,
    random: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Mix each image of a batch with another one, and their targets in the same proportion.

    An image's partner is the next one of its shape in a random order; an image of a unique shape stays as it
    is. Mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018) blends the two. CutMix (Yun et
    al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019)
    replaces a rectangle of the image by that of the partner. The proportion is one draw of Beta(α, α) per
    batch. If both are on, each batch uses one of them, with equal probability. Training passes
    ``rng_for(seed, "mix", step)``, so that a resumed run mixes a step in the same way.

    The arrays, float32 ``[channels, height, width]`` of any shapes, and the targets, float32 ``[N,
    num_classes]``, are not changed, and returned as they are if the settings have neither mixup nor CutMix.

    Returns:
        The mixed inputs in order, and their targets, float32 ``[N, num_classes]``. With CutMix, the share of
        an image in them is exactly that of its pixels.
    """
    if not settings.mixes:
        return [*arrays], targets
    cuts = settings.cutmix > 0 and (settings.mixup == 0 or random.random() < 0.5)
    alpha = settings.cutmix if cuts else settings.mixup
    partner_share = random.beta(alpha, alpha)
    centre = random.random(2)
    mixed = [*arrays]
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, array in enumerate(arrays):
        by_shape[array.shape].append(index)
    unmixed, targets = targets, targets.copy()
    for (_, height, width), members in by_shape.items():
        if len(members) == 1:
            continue
        share = partner_share
        if cuts:
            top, bottom = _span(height, partner_share, centre[0])
            left, right = _span(width, partner_share, centre[1])
            share = (bottom - top) * (right - left) / (height * width)
        order = random.permutation(members)
        for index, partner in zip(order.tolist(), np.roll(order, -1).tolist(), strict=True):
            if cuts:
                mixed[index] = arrays[index].copy()
                mixed[index][:, top:bottom, left:right] = arrays[partner][:, top:bottom, left:right]
            else:
                mixed[index] = arrays[index] + np.float32(partner_share) * (arrays[partner] - arrays[index])
            targets[index] += np.float32(share) * (unmixed[partner] - unmixed[index])
    return mixed, targets


def _span(side: int, area: float, centre: float) -> tuple[int, int]:
    """First and last pixel on a side of a rectangle with this share of the area, clipped to the image."""
    half = round(side * math.sqrt(area)) / 2
    middle = centre * side
    return max(0, round(middle - half)), min(side, round(middle + half))
