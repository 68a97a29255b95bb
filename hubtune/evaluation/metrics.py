"""Accuracy and loss, counted per image, with confidence intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """A classifier's metrics on a list.

    Attributes:
        accuracy: share of readable images whose highest score is that of their class; ``nan`` without any.
        loss: mean cross entropy of the readable images.
        count: number of readable images.
        interval: 95 % confidence interval of the accuracy.
        unreadable: number of images that could not be read; no other metric counts them.
        top5: share whose class is among the five highest scores; ``None`` with five classes or fewer, where
            it would always be 1.
    """

    accuracy: float
    loss: float
    count: int
    interval: tuple[float, float]
    unreadable: int = 0
    top5: float | None = None

    def __getitem__(self, name: str) -> Any:
        """Return a metric by its name in JSON."""
        return self.as_dict()[name]

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as JSON has them."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "count": self.count,
            "interval": list(self.interval),
            "unreadable": self.unreadable,
            **({} if self.top5 is None else {"top5": self.top5}),
        }


def measure(scores: Iterable[np.ndarray | None], labels: Sequence[int]) -> Metrics:
    """Compute the metrics of scores.

    Args:
        scores: class probabilities ``[classes]`` of each image, in the order of ``labels``; ``None`` for an
            image that cannot be read.
        labels: the true class of each image.
    """
    correct = among_five = count = unreadable = classes = 0
    loss = 0.0
    for values, label in zip(scores, labels, strict=True):
        if values is None:
            unreadable += 1
            continue
        count += 1
        correct += int(values.argmax()) == label
        # As in argmax, the first of equal scores counts as the higher one.
        among_five += label in np.argsort(-values, kind="stable")[:5]
        classes = len(values)
        # A probability that underflows to 0 would make the loss infinite although the network is sound.
        probability = float(values[label])
        loss -= math.log(max(probability, 1e-300)) if math.isfinite(probability) else math.nan
    if not count:
        return Metrics(math.nan, math.nan, 0, (0.0, 1.0), unreadable)
    top5 = among_five / count if classes > 5 else None
    return Metrics(correct / count, loss / count, count, wilson_interval(correct, count), unreadable, top5)


def wilson_interval(correct: float, count: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share; ``(0, 1)`` for a count of 0.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

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
