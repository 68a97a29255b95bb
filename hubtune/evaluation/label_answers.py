"""A classifier's answers for the labels of multi-label images, which all figures are computed from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hubtune.evaluation.answers import ScoredImage


@dataclass(frozen=True, eq=False)
class LabelAnswers:
    """A classifier's answers for the images of a list, one entry an image, in the order of the list.

    Scores that are NaN, as those of a network that diverged, are an answer that is wrong for each label.

    Attributes:
        paths: the images.
        truth: whether an image has a label, bool ``[N, labels]``.
        probabilities: of each label by itself, float64 ``[N, labels]``; NaN for an unreadable image.
        errors: why an image cannot be read; ``None`` if it can.
        thresholds: probability of each label from which on it is given, float64 ``[labels]``.
        similarity: largest cosine similarity to a training image, float64 ``[N]``; ``None`` if unknown.
        nearest: base name of that training image; ``None`` if unknown.
    """

    paths: list[str]
    truth: np.ndarray
    probabilities: np.ndarray = field(repr=False)
    errors: list[str | None]
    thresholds: np.ndarray
    similarity: np.ndarray | None = None
    nearest: list[str | None] | None = None

    @property
    def readable(self) -> np.ndarray:
        """Which images have an answer, bool ``[N]``."""
        return np.array([error is None for error in self.errors], bool)

    @property
    def unreadable(self) -> int:
        """Number of images that cannot be read."""
        return int((~self.readable).sum())

    @property
    def predicted(self) -> np.ndarray:
        """Which labels are given, bool ``[N, labels]``; none to an unreadable image."""
        return np.asarray(self.probabilities >= self.thresholds)

    @property
    def right_decisions(self) -> np.ndarray:
        """Which labels are rightly given or not given, bool ``[N, labels]``; false for unreadable images."""
        return (self.predicted == self.truth) & ~np.isnan(self.probabilities) & self.readable[:, None]

    @property
    def correct(self) -> np.ndarray:
        """Which answers are right for every label, bool ``[N]``; false for unreadable images."""
        return np.asarray(self.right_decisions.all(axis=1))

    def renumbered(self, numbers: Sequence[int]) -> "LabelAnswers":
        """Return the answers with another number for each label, given by its present one."""
        order = np.argsort(numbers)
        return replace(
            self,
            truth=self.truth[:, order],
            probabilities=self.probabilities[:, order],
            thresholds=self.thresholds[order],
        )


def collect_labels(results: Iterable[ScoredImage], truth: np.ndarray, thresholds: np.ndarray) -> LabelAnswers:
    """Gather the probabilities of images as answers.

    Args:
        results: the probabilities of the labels of each image, in the order of ``truth``.
        truth: whether each image has each label, ``[N, labels]``.
        thresholds: probability of each label from which on it is given, ``[labels]``.

    Raises:
        ValueError: the numbers of results and of rows of ``truth`` differ, or those of labels do.
    """
    own = np.asarray(truth, bool)
    if own.ndim != 2 or np.shape(thresholds) != own.shape[1:]:
        raise ValueError(f"truth {own.shape} and thresholds {np.shape(thresholds)} are of other labels")
    probabilities = np.full(own.shape, np.nan)
    paths: list[str] = []
    errors: list[str | None] = []
    for result, row in zip(results, probabilities, strict=True):
        paths.append(str(result.path))
        errors.append(result.error.reason if result.error else None)
        if result.values is not None:
            if np.shape(result.values) != row.shape:  # a single number would fill the row
                raise ValueError(f"{len(row)} labels have {np.shape(result.values)} scores")
            row[:] = result.values
    return LabelAnswers(paths, own, probabilities, errors, np.array(thresholds, np.float64))
