"""How well a score tells two kinds of images apart: area under the ROC curve, average precision."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hubtune.evaluation.metrics import Z


def auroc(positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the chance that a positive image has a higher score than a negative one; ties count half.

    It is computed from ranks, as the statistic of Mann and Whitney, "On a test of whether one of two random
    variables is stochastically larger than the other", Annals of Mathematical Statistics 18, 1947.

    Args:
        positives: scores ``[N]``, which should be high; NaN is left out.
        negatives: scores ``[M]``, likewise.

    Returns:
        0 to 1; ``None`` if a side has no score.

    Example:
        >>> auroc([0.9, 0.8, 0.4], [0.5, 0.1])
        0.8333333333333334
    """
    high, low = _known(positives), _known(negatives)
    if not (len(high) and len(low)):
        return None
    _, place, sizes = np.unique(np.concatenate([high, low]), return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2  # the mean rank of equal scores, from 1
    above = ranks[place[: len(high)]].sum() - len(high) * (len(high) + 1) / 2
    return float(above / len(high) / len(low))


def average_precision(positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the mean precision of the images from the top down to each positive one.

    It is scikit-learn's ``average_precision_score``: the sum over the distinct scores of the precision from
    there on, times the recall that is gained there. Images of equal scores come in together, so that their
    order has no effect, and nothing is interpolated.

    Args:
        positives: scores ``[N]``, which should be high; NaN is left out.
        negatives: scores ``[M]``, likewise.

    Returns:
        Above 0, to 1; without negatives 1; ``None`` without a positive.

    Example:
        >>> average_precision([0.9, 0.4], [0.5])
        0.8333333333333333
    """
    high, low = _known(positives), _known(negatives)
    if not len(high):
        return None
    values, place = np.unique(np.concatenate([high, low]), return_inverse=True)
    own = np.bincount(place[: len(high)], minlength=len(values))[::-1]
    taken = np.bincount(place, minlength=len(values))[::-1]
    return float((own * (np.cumsum(own) / np.cumsum(taken))).sum() / len(high))


def auroc_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of an area under the ROC curve.

    It has the areas from which the observed one is at most 1.96 standard deviations away, so that its width
    is not 0 for an area of 1. Newcombe, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2", Statistics in Medicine 25, 2006, method 5.

    Args:
        area: the observed area, from 0 to 1.
        positives: number of positive images.
        negatives: number of negative images.
    """

    def distance(value: float) -> float:
        """Return how many standard deviations a true area is away."""
        more = ((positives + negatives) / 2 - 1) * ((1 - value) / (2 - value) + value / (1 + value))
        variance = value * (1 - value) * (1 + more) / (positives * negatives)
        return abs(value - area) / math.sqrt(variance) if variance > 0 else math.inf

    return _farthest(distance, area, 0.0), _farthest(distance, area, 1.0)


def _farthest(distance: Callable[[float], float], area: float, limit: float) -> float:
    """Return the value between ``area`` and ``limit`` at the distance of a 95 % interval, by bisection."""
    inside, outside = area, limit
    for _ in range(60):
        middle = (inside + outside) / 2
        if distance(middle) <= Z:
            inside = middle
        else:
            outside = middle
    return inside


def _known(scores: ArrayLike) -> np.ndarray:
    values = np.asarray(scores, np.float64).ravel()
    return values[~np.isnan(values)]
