"""Accuracy and loss, counted per image, with confidence intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubtune.evaluation.answers import Answers, ScoredImage, collect

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution, of which 95 % intervals are made."""


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
            of always naming it; ``None`` in results of older versions. For multi-label data, that of the most
            frequent set of labels.
        mean_ap: mean average precision over the labels; ``nan`` if no image has one; ``None`` for data of one
            class an image. With it, the accuracy is the share of images with every label right.
    """

    accuracy: float
    loss: float
    count: int
    interval: tuple[float, float]
    unreadable: int = 0
    top5: float | None = None
    largest_class: float | None = None
    mean_ap: float | None = None

    def __eq__(self, other: object) -> bool:
        """Whether the metrics are equal, whatever else a subclass has."""
        return isinstance(other, Metrics) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        """Return a hash of the metrics."""
        return hash((self.accuracy, self.loss, self.count))

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
            # JSON has no NaN.
            **({} if self.mean_ap is None or math.isnan(self.mean_ap) else {"mean_ap": self.mean_ap}),
        }

    @property
    def selection_figure(self) -> float:
        """What the best model is chosen by: the mean average precision of multi-label data, or the accuracy.

        It is the accuracy, too, where no image has a label and so no average precision exists; as that is a
        matter of the list, models on one list are always compared by the same figure.
        """
        return self.accuracy if self.mean_ap is None or math.isnan(self.mean_ap) else self.mean_ap

    @property
    def selection_name(self) -> str:
        """How that figure is called in the log."""
        return "acc" if self.mean_ap is None or math.isnan(self.mean_ap) else "mAP"

    @property
    def chance_level(self) -> str | None:
        """A sentence for an accuracy that guessing may reach, too; ``None`` for a better one."""
        if not self.count or self.largest_class is None or self.interval[0] > self.largest_class:
            return None
        naming = (
            "the most frequent class would be right for"
            if self.mean_ap is None
            else "the most frequent set of labels would have every label right for"
        )
        share = f"{100 * self.largest_class:.1f} %"
        return (
            f"not shown to be better than guessing: always naming {naming} {share} of these "
            f"{self.count:,} pictures"
        )


def measure(results: Iterable[ScoredImage], truth: Sequence[int], classes: int) -> Metrics:
    """Compute the metrics of scores.

    Args:
        results: the scores of each image, in the order of ``truth``.
        truth: the true class of each image.
        classes: number of classes.
    """
    return measure_answers(collect(results, truth), classes)


def measure_answers(answers: Answers, classes: int) -> Metrics:
    """Compute the metrics of answers, given the number of classes."""
    readable, unreadable = answers.readable, answers.unreadable
    if not (count := int(readable.sum())):
        return Metrics(math.nan, math.nan, 0, (0.0, 1.0), unreadable)
    correct = int(answers.correct.sum())
    # A probability that underflows to 0 would make the loss infinite although the network is sound.
    loss = float(-np.log(np.maximum(answers.probability[readable], 1e-300)).mean()) + 0.0  # which makes -0 0
    top5 = top_share(answers, 5) if classes > 5 else None
    largest = int(np.bincount(answers.truth[readable]).max()) / count
    return Metrics(correct / count, loss, count, wilson_interval(correct, count), unreadable, top5, largest)


def top_share(answers: Answers, k: int) -> float:
    """Return the share of the readable images whose class is among the ``k`` highest scores."""
    rank = answers.rank[answers.readable]
    return int((rank < k).sum()) / len(rank) if len(rank) else math.nan


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
    share = correct / count
    centre = share + Z * Z / (2 * count)
    spread = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    # At shares of 0 and 1, rounding would put the share itself outside.
    low, high = min(share, (centre - spread) / scale), max(share, (centre + spread) / scale)
    return max(0.0, low), min(1.0, high)
