"""Figures that can be believed: counted per picture, with the interval that their number allows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """How a classifier does on a list.

    Attributes:
        accuracy: share of the readable pictures whose highest score is their own class; ``nan`` without any.
        loss: mean cross entropy of the readable pictures.
        count: number of readable pictures.
        interval: 95 % interval of the accuracy.
        unreadable: number of pictures that could not be read; they are in no other figure.
    """

    accuracy: float
    loss: float
    count: int
    interval: tuple[float, float]
    unreadable: int = 0

    def __getitem__(self, name: str) -> Any:
        """A figure by the name it has in JSON."""
        return self.as_dict()[name]

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "count": self.count,
            "interval": list(self.interval),
            "unreadable": self.unreadable,
        }


def measure(scores: Iterable[np.ndarray | None], labels: Sequence[int]) -> Metrics:
    """Compare scores with labels.

    Args:
        scores: the classes' probabilities of each picture, in the order of ``labels``; ``None`` for a
            picture that cannot be read.
        labels: the true class of each picture.
    """
    correct = count = unreadable = 0
    loss = 0.0
    for values, label in zip(scores, labels, strict=True):
        if values is None:
            unreadable += 1
            continue
        count += 1
        correct += int(values.argmax()) == label
        # A score below the smallest float would make the loss infinite although the network is sound.
        probability = float(values[label])
        loss -= math.log(max(probability, 1e-300)) if math.isfinite(probability) else math.nan
    if not count:
        return Metrics(math.nan, math.nan, 0, (0.0, 1.0), unreadable)
    return Metrics(correct / count, loss / count, count, wilson_interval(correct, count), unreadable)


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, "Probable inference", JASA 22, 1927); ``(0, 1)`` for no count.

    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)
    """
    if not count:
        return 0.0, 1.0
    z = 1.959963984540054  # 97.5 % quantile of the normal distribution
    share = correct / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
