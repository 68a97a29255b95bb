"""What each position of an image contributes to a logit of a linear head.

The pooled features are the mean of the last map, so that the share of each position is exact (Zhou et al.,
"Learning Deep Features for Discriminative Localization", 2016). A covariance is a sum of products over
positions, too. What follows it, signed roots and scaling, is replaced by the factor by which it changes this
image's covariances: the share of a position is then a quadratic form of its centred values. The shares of all
positions add up to the logit, without its bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from hubtune.models.taps import EPSILON, LEAST, NOISE, Tap


@dataclass(frozen=True)
class HeadWeights:
    """The weights of a linear head.

    Attributes:
        weight: ``[width + sum of the taps' widths, num_classes]``.
        bias: ``[num_classes]``.
        taps: whose features follow the pooled ones.
    """

    weight: np.ndarray
    bias: np.ndarray
    taps: Sequence[Tap]

    @property
    def width(self) -> int:
        """Number of pooled features."""
        return len(self.weight) - sum(tap.width for tap in self.taps)


def unpack_maps(row: np.ndarray, head: HeadWeights) -> list[np.ndarray] | None:
    """Return the maps ``[channels, h, w]`` of a row: the last one, and one for each tap.

    Rows are those of :meth:`hubtune.models.classifier.Classifier.packed_maps`; ``None`` if there are no maps.
    """
    if len(row) <= 1:
        return None
    maps, start = [], 0
    for channels in (head.width, *(tap.directions for tap in head.taps)):
        height, width = (round(float(side)) for side in row[start : start + 2])
        end = start + 2 + channels * height * width
        maps.append(row[start + 2 : end].reshape(channels, height, width))
        start = end
    return maps


def attribute(maps: Sequence[np.ndarray], head: HeadWeights, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each position of the last map in the logit of a class.

    Args:
        maps: the last map and those of the taps, ``[channels, h, w]`` each.
        head: the weights.
        label: number of the class.

    Returns:
        All shares, float64 ``[h, w]``, whose sum is the logit without its bias; and the shares of the pooled
        features alone.
    """
    last, *tapped = (values.astype(np.float64) for values in maps)
    weight = head.weight[:, label].astype(np.float64)
    _, height, width = last.shape
    mean = np.tensordot(weight[: head.width], last, axes=1) / (height * width)
    total, start = mean.copy(), head.width
    for tap, values in zip(head.taps, tapped, strict=True):
        shares = _covariance_shares(values, weight[start : start + tap.width])
        total += _spread(height, shares.shape[0]) @ shares @ _spread(width, shares.shape[1]).T
        start += tap.width
    return total, mean


def _covariance_shares(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the share of each position ``[h, w]``; see :class:`hubtune.models.second_order.SecondOrder`."""
    channels, height, width = values.shape
    rows = values.reshape(channels, -1)
    noise = NOISE * (rows * rows).mean()
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt((rows * rows).mean() + noise + LEAST)
    upper = _triangle(channels)
    covariances = (rows @ rows.T)[upper]
    first = _root_mean_square(covariances)
    scaled = covariances / first
    factors = 1 / np.sqrt(np.sqrt(scaled * scaled + EPSILON**2) + EPSILON)
    factors /= first * _root_mean_square(scaled * factors)
    form = np.zeros((channels, channels))
    form[upper] = weight * factors
    return np.asarray((rows * (form @ rows)).sum(axis=0).reshape(height, width))


@cache
def _triangle(channels: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(channels)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt((values * values).mean() + EPSILON**2))


def _spread(count: int, cells: int) -> np.ndarray:
    """Return the matrix ``[count, cells]`` that divides values of cells among others, by their overlap."""
    edges, others = np.arange(count + 1) / count, np.arange(cells + 1) / cells
    overlap = np.minimum(edges[1:, None], others[1:]) - np.maximum(edges[:-1, None], others[:-1])
    return np.maximum(overlap, 0) * cells
