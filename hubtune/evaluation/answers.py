"""A classifier's answers for the images of a list, which all figures are computed from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hubtune.data.images.decode import ImageError


@dataclass(frozen=True, eq=False)
class Answers:
    """A classifier's answers for the images of a list, one entry an image, in the order of the list.

    Attributes:
        paths: the images.
        truth: class numbers, int64 ``[N]``.
        predicted: class numbers, int64 ``[N]``; -1 for an image that cannot be read.
        confidence: highest probability, float64 ``[N]``; NaN for an unreadable image.
        probability: that of the true class, float64 ``[N]``; NaN for an unreadable image.
        rank: number of classes before the true one, int64 ``[N]``: 0 if the answer is right; -1 for an
            unreadable image. Of equal scores the first counts as the higher one, as in argmax.
        second: class with the second highest score, int64 ``[N]``; -1 if there is none.
        errors: why an image cannot be read; ``None`` if it can.
        similarity: largest cosine similarity to a training image, float64 ``[N]``; ``None`` if unknown.
        nearest: base name of that training image; ``None`` if unknown.
    """

    paths: list[str]
    truth: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    probability: np.ndarray
    rank: np.ndarray
    second: np.ndarray
    errors: list[str | None]
    similarity: np.ndarray | None = None
    nearest: list[str | None] | None = None

    @property
    def readable(self) -> np.ndarray:
        """Which images have an answer, bool ``[N]``."""
        return np.asarray(self.predicted >= 0)

    @property
    def correct(self) -> np.ndarray:
        """Which answers are right, bool ``[N]``; false for unreadable images."""
        return np.asarray(self.rank == 0)

    @property
    def unreadable(self) -> int:
        """Number of images that cannot be read."""
        return int((~self.readable).sum())

    def renumbered(self, numbers: Sequence[int]) -> "Answers":
        """Return the answers with another number for each class, given by its present one."""
        new = np.array([*numbers, -1])  # the last for -1
        return replace(self, truth=new[self.truth], predicted=new[self.predicted], second=new[self.second])


class ScoredImage(Protocol):
    """Class probabilities of an image, float64 ``[classes]``, or the reason why it cannot be read."""

    @property
    def path(self) -> Path: ...
    @property
    def values(self) -> np.ndarray | None: ...
    @property
    def error(self) -> ImageError | None: ...


def collect(results: Iterable[ScoredImage], truth: Sequence[int]) -> Answers:
    """Reduce the scores of images to answers, while they arrive: memory does not grow with the classes.

    Args:
        results: the scores of each image, in the order of ``truth``.
        truth: the true class of each image.

    Raises:
        ValueError: the numbers of results and of true classes differ.
    """
    count = len(truth)
    predicted, rank, second = (np.full(count, -1, np.int64) for _ in range(3))
    confidence, probability = np.full(count, np.nan), np.full(count, np.nan)
    paths: list[str] = []
    errors: list[str | None] = []
    for number, (result, label) in enumerate(zip(results, truth, strict=True)):
        paths.append(str(result.path))
        errors.append(result.error.reason if result.error else None)
        if (values := result.values) is None:
            continue
        scores = np.where(np.isnan(values), -np.inf, values)
        best = int(scores.argmax())
        predicted[number], rank[number] = best, _rank(scores, label)
        confidence[number], probability[number] = values[best], values[label]
        if len(values) > 1:
            other = int(np.delete(scores, best).argmax())
            second[number] = other + (other >= best)
    return Answers(paths, np.array(truth, np.int64), predicted, confidence, probability, rank, second, errors)


def _rank(scores: np.ndarray, label: int) -> int:
    higher = np.count_nonzero(scores > scores[label])
    return int(higher + np.count_nonzero(scores[:label] == scores[label]))
