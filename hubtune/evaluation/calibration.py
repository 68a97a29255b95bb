"""Whether confidences are as high as they should be: calibration error beside what chance gives."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hubtune.evaluation.metrics import wilson_interval
from hubtune.rng import rng_for

_MOST_BINS, _IMAGES_PER_BIN = 10, 20
_SIMULATIONS = 1000
_MOST_DRAWS_PER_BIN = 200


@dataclass(frozen=True)
class CalibrationBin:
    """Images of similar confidence.

    Attributes:
        low, high: the lowest and the highest confidence.
        count: number of images.
        correct: number of right answers.
        confidence: mean confidence.
    """

    low: float
    high: float
    count: int
    correct: int
    confidence: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy."""
        return wilson_interval(self.correct, self.count)

    def as_dict(self) -> dict[str, Any]:
        """Return the bin as JSON has it."""
        return {**vars(self), "accuracy": self.accuracy, "interval": list(self.interval)}


class Calibration:
    """The calibration of a classifier, in bins of equal mass: by default at most 10, of 20 images or more.

    Images of equal confidence are in one bin, so that the order of the images has no effect.

    Attributes:
        bins: in ascending order of confidence; empty without an image.
    """

    def __init__(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        """Divide the images into bins.

        Args:
            confidence: of the answer, float64 ``[N]``; images where it is not finite are left out.
            correct: whether the answer is right, bool ``[N]``.
        """
        finite = np.isfinite(confidence)
        order = np.argsort(confidence[finite], kind="stable")
        self._confidence = np.asarray(confidence[finite][order], np.float64)
        hits = np.asarray(correct[finite][order], bool)
        self._edges = _divide(self._confidence)
        self.bins = [
            CalibrationBin(
                float(self._confidence[start]),
                float(self._confidence[stop - 1]),
                stop - start,
                int(hits[start:stop].sum()),
                float(self._confidence[start:stop].mean()),
            )
            for start, stop in self._edges
        ]

    @property
    def ece(self) -> float | None:
        """Expected calibration error: mean distance of accuracy and confidence over the images' bins.

        ``None`` without an image. Guo et al., "On calibration of modern neural networks", ICML 2017.
        """
        total = len(self._confidence)
        gaps = (entry.count * abs(entry.accuracy - entry.confidence) for entry in self.bins)
        return sum(gaps) / total if total else None

    @property
    def ece_expected(self) -> float | None:
        """Mean ``ece`` of a perfectly calibrated classifier with these confidences."""
        return float(self._by_chance.mean()) if self.bins else None

    @property
    def ece_high(self) -> float | None:
        """Bound below which the ``ece`` of a perfectly calibrated classifier is in 95 % of the cases."""
        return float(np.quantile(self._by_chance, 0.95)) if self.bins else None

    @cached_property
    def _by_chance(self) -> np.ndarray:
        """The ``ece`` of simulated classifiers whose answers are right as often as they are confident."""
        random, gaps = rng_for(0, "calibration"), np.zeros(_SIMULATIONS)
        for (start, stop), entry in zip(self._edges, self.bins, strict=True):
            # In a large bin, neighbours share a probability, which bounds the number of draws.
            parts = np.array_split(self._confidence[start:stop], min(entry.count, _MOST_DRAWS_PER_BIN))
            sizes = np.array([len(part) for part in parts])
            chances = np.clip([part.mean() for part in parts], 0, 1)
            hits = random.binomial(sizes, chances, (_SIMULATIONS, len(parts))).sum(axis=1)
            gaps += abs(hits - entry.confidence * entry.count)
        return gaps / len(self._confidence)


def _divide(confidence: np.ndarray) -> list[tuple[int, int]]:
    """Return the ranges of the bins of sorted confidences; a rest that is too small joins the last bin."""
    total = len(confidence)
    size = total // min(max(total // _IMAGES_PER_BIN, 1), _MOST_BINS)
    ends = np.append(np.flatnonzero(np.diff(confidence)) + 1, total)  # after each group of equal values
    edges = [0]
    while total - edges[-1] >= size > 0:
        edges.append(int(ends[np.searchsorted(ends, edges[-1] + size)]))
    edges[-1] = total
    return list(pairwise(edges))
