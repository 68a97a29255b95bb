"""Accuracy and loss, counted per image, with confidence intervals."""

import math
from collections import Counter
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
        largest_class: share of the readable images that are of the most frequent class, which is the accuracy
            of always naming it; ``None`` in results of older versions.
    """

    accuracy: float
    loss: float
    count: int
    interval: tuple[float, float]
    unreadable: int = 0
    top5: float | None = None
    largest_class: float | None = None

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
            **({} if self.largest_class is None else {"largest_class": self.largest_class}),
        }

    @property
    def chance_level(self) -> str | None:
        """A sentence for an accuracy that guessing may reach, too; ``None`` for a better one."""
        if not self.count or self.largest_class is None or self.interval[0] > self.largest_class:
            return None
        return (
            f"not shown to be better than guessing: always naming the most frequent class would be right for "
            f"{100 * self.largest_class:.1f} % of these {self.count:,} pictures"
        )


def measure(scores: Iterable[np.ndarray | None], labels: Sequence[int]) -> Metrics:
    """Compute the metrics of scores.

    Args:
        scores: class probabilities ``[classes]`` of each image, in the order of ``labels``; ``None`` for an
            image that cannot be read.
        labels: the true class of each image.
    """
    correct = among_five = count = unreadable = classes = 0
    of_class: Counter[int] = Counter()
    loss = 0.0
    for values, label in zip(scores, labels, strict=True):
        if values is None:
            unreadable += 1
            continue
        count += 1
        of_class[label] += 1
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
    interval, largest = wilson_interval(correct, count), max(of_class.values()) / count
    return Metrics(correct / count, loss / count, count, interval, unreadable, top5, largest)


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
