"""Mean and standard deviation of the channels of images, the same on every machine."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.loader import load_batches

MOST_IMAGES = 10_000
"""Of more images, every n-th is measured."""

_AT_ONCE = 64
_DIGITS = 6


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation of R, G and B on a scale of 0–1, and the number of images behind them."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    images: int

    def of(self, view: Preprocessing) -> Preprocessing:
        """Return a preprocessing with these statistics in place of its own."""
        return view.model_copy(update={"mean": self.mean, "std": self.std})


def images_to_measure(paths: Sequence[Path]) -> Sequence[Path]:
    """Return all images, or of more than :data:`MOST_IMAGES` every n-th, from the first on."""
    return paths[:: max(1, -(-len(paths) // MOST_IMAGES))]


def measure_channels(
    paths: Sequence[Path], view: Preprocessing, *, workers: int, advance: Callable[[], None]
) -> ChannelStatistics | None:
    """Return the statistics over all pixels of images as they enter a network; ``None`` if none can be read.

    Sums are exact, so the order of the images and the number of ``workers`` change nothing. Opacity is not
    measured. Grey images have three equal channels. ``advance`` is called after each image.
    """

    def sums_of(index: int) -> np.ndarray:
        [pixels] = preprocess_views(paths[index], [view])
        values = pixels[..., :3].reshape(-1, min(3, pixels.shape[2])).astype(np.int64)
        return np.stack([np.full(values.shape[1], len(values)), values.sum(0), (values**2).sum(0)])

    batches = [range(start, min(start + _AT_ONCE, len(paths))) for start in range(0, len(paths), _AT_ONCE)]
    total, images = np.zeros((3, 1), np.int64), 0
    for batch in load_batches(paths, batches, sums_of, workers=workers):
        for sums in batch.arrays:
            total = total + sums
            advance()
        images += len(batch.arrays)
    if not images:
        return None
    # Python's integers do not overflow, and their quotient is rounded once.
    rows = [[int(value) for value in column] for column in np.broadcast_to(total, (3, 3)).T]
    mean = [round(first / (255 * count), _DIGITS) for count, first, _ in rows]
    variance = [(count * second - first**2) / (255 * count) ** 2 for count, first, second in rows]
    std = [round(math.sqrt(value), _DIGITS) for value in variance]
    return ChannelStatistics((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), images)
