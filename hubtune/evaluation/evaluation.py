"""The evaluation of a classifier on a list: all figures, overall and per class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hubtune.evaluation.answers import Answers
from hubtune.evaluation.calibration import Calibration
from hubtune.evaluation.metrics import Metrics, Z, measure_answers, top_share, wilson_interval


@dataclass(frozen=True)
class ClassMetrics:
    """The metrics of one class; all but the numbers are ``None`` for a class without readable images.

    Attributes:
        label: name of the class.
        count: number of its readable images.
        predicted: number of images that were taken for it.
        correct: number of its images that were taken for it.
        precision: share of the images taken for it that are of it; ``None`` if there are none.
        recall: share of its images that were taken for it.
        interval: 95 % confidence interval of the recall.
        f1: harmonic mean of precision and recall; 0 if it was never predicted.
        taken_for: the other class that its images are most often taken for; ``None`` if they never are.
        taken_count: number of its images that are taken for that class.
    """

    label: str
    count: int
    predicted: int
    correct: int
    precision: float | None
    recall: float | None
    interval: tuple[float, float] | None
    f1: float | None
    taken_for: str | None
    taken_count: int

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as JSON has them."""
        return {**vars(self), "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class ConfusedPair:
    """The number of images of the class ``label`` that were taken for the class ``predicted``."""

    label: str
    predicted: str
    count: int


@dataclass(frozen=True)
class Attractor:
    """A class that images of other classes are taken for more often than an even spread of errors allows.

    Attributes:
        label: name of the class.
        count: number of images of other classes that were taken for it.
        errors: number of wrong answers for images of other classes.
        classes: number of classes that these images are of.
    """

    label: str
    count: int
    errors: int
    classes: int


# Of more classes, JSON has no confusion matrix, whose size grows with their square.
_MOST_CLASSES = 5_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(Metrics):
    """A classifier's metrics on a list, with all that follows from its answers.

    Means over classes count only classes with readable images, as in scikit-learn. Without any readable
    image, figures are ``nan``.

    Attributes:
        labels: class names, in the order of their numbers.
        answers: the answers for the images.
    """

    labels: tuple[str, ...]
    answers: Answers = field(repr=False)

    @property
    def confusion(self) -> np.ndarray:
        """Number of images of each class (rows) taken for each class (columns), int64 ``[C, C]``."""
        matrix = np.zeros((len(self.labels), len(self.labels)), np.int64)
        rows, columns, counts = self._pairs
        matrix[rows, columns] = counts
        return matrix

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cells of the confusion matrix that are not 0, row by row: rows, columns and counts."""
        readable, classes = self.answers.readable, len(self.labels)
        cells = self.answers.truth[readable] * classes + self.answers.predicted[readable]
        numbers, counts = np.unique(cells, return_counts=True)
        return numbers // classes, numbers % classes, counts

    @cached_property
    def _wrong_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Those of wrong answers, the most frequent first, then in the order of ``labels``."""
        rows, columns, counts = self._pairs
        wrong = np.flatnonzero(rows != columns)
        order = wrong[np.argsort(-counts[wrong], kind="stable")]
        return rows[order], columns[order], counts[order]

    @cached_property
    def per_class(self) -> list[ClassMetrics]:
        """The metrics of each class, in the order of ``labels``."""
        (rows, columns, numbers), classes = self._pairs, len(self.labels)
        right = rows == columns
        counts = np.bincount(rows, numbers, classes).astype(int).tolist()
        predicted = np.bincount(columns, numbers, classes).astype(int).tolist()
        correct = np.bincount(rows[right], numbers[right], classes).astype(int).tolist()
        taken_for: dict[int, tuple[str, int]] = {}
        for row, column, number in zip(*(each.tolist() for each in self._wrong_pairs), strict=True):
            taken_for.setdefault(row, (self.labels[column], number))
        return [
            self._class_metrics(label, counts[n], predicted[n], correct[n], taken_for.get(n, (None, 0)))
            for n, label in enumerate(self.labels)
        ]

    def _class_metrics(
        self, label: str, count: int, predicted: int, correct: int, taken_for: tuple[str | None, int]
    ) -> ClassMetrics:
        if not count:
            return ClassMetrics(label, 0, predicted, 0, None, None, None, None, None, 0)
        return ClassMetrics(
            label,
            count,
            predicted,
            correct,
            precision=correct / predicted if predicted else None,
            recall=correct / count,
            interval=wilson_interval(correct, count),
            f1=2 * correct / (count + predicted),
            taken_for=taken_for[0],
            taken_count=taken_for[1],
        )

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes."""
        return _mean([entry.recall for entry in self.per_class if entry.recall is not None])

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes."""
        return _mean([entry.f1 for entry in self.per_class if entry.f1 is not None])

    @property
    def top_k(self) -> dict[int, float]:
        """Share of the images whose class is among the k highest scores: 1, 3, 5, as far as they exist."""
        return {k: top_share(self.answers, k) for k in (1, 3, 5) if k <= len(self.labels)}

    @property
    def mean_confidence(self) -> float:
        """Mean of the highest probabilities; on average it is the accuracy that the classifier claims."""
        return _mean(self.answers.confidence[self.answers.readable])

    @property
    def mean_confidence_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean confidence, by its standard error."""
        values = self.answers.confidence[self.answers.readable]
        if len(values) < 2:
            return 0.0, 1.0
        mean, spread = values.mean(), Z * values.std(ddof=1) / math.sqrt(len(values))
        return max(0.0, float(mean - spread)), min(1.0, float(mean + spread))

    @cached_property
    def calibration(self) -> Calibration:
        """Accuracy and confidence in bins of confidence."""
        readable = self.answers.readable
        return Calibration(self.answers.confidence[readable], self.answers.correct[readable])

    @property
    def ece(self) -> float | None:
        """Calibration error: see :class:`~hubtune.evaluation.calibration.Calibration`."""
        return self.calibration.ece

    @property
    def ece_expected(self) -> float | None:
        """Mean ``ece`` of a perfectly calibrated classifier with the same confidences."""
        return self.calibration.ece_expected

    @cached_property
    def most_confused(self) -> list[ConfusedPair]:
        """Pairs of classes that are confused, the most frequent first, then in the order of ``labels``."""
        return [
            ConfusedPair(self.labels[row], self.labels[column], count)
            for row, column, count in zip(*(each.tolist() for each in self._wrong_pairs), strict=True)
        ]

    @cached_property
    def attractor(self) -> Attractor | None:
        """The class that attracts images of the others; ``None`` if no class stands out.

        It takes at least a third of the errors of the other classes, from two classes or more, and
        significantly more than an even spread gives it (exact binomial test, 5 % over all classes).
        """
        (rows, columns, counts), classes = self._wrong_pairs, len(self.labels)
        taken = np.bincount(columns, counts, classes)
        number = int(np.argmax(taken))
        # Wrong answers for images of other classes.
        count, total = int(taken[number]), int(counts[rows != number].sum())
        sources = int((columns == number).sum())
        if classes < 3 or sources < 2:
            return None
        even = 1 / (classes - 1)
        chance = classes * _binomial_tail(count, total, even)
        if chance > 0.05 or count / total < max(1 / 3, 1.5 * even):
            return None
        return Attractor(self.labels[number], count, total, sources)

    def details(self) -> dict[str, Any]:
        """Return all figures as JSON has them; a figure that does not exist is ``None``."""
        calibration = self.calibration
        figures = {
            **self.as_dict(),
            "top_k": {str(k): none_if_nan(share) for k, share in self.top_k.items()},
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "mean_confidence": self.mean_confidence,
            "mean_confidence_interval": list(self.mean_confidence_interval),
            "ece": calibration.ece,
            "ece_expected": calibration.ece_expected,
            "ece_high": calibration.ece_high,
            "calibration": [entry.as_dict() for entry in calibration.bins],
            "per_class": [entry.as_dict() for entry in self.per_class],
            "confusion": self.confusion.tolist() if len(self.labels) <= _MOST_CLASSES else None,
            "most_confused": [vars(pair) for pair in self.most_confused],
            "attractor": None if self.attractor is None else vars(self.attractor),
        }
        return {name: none_if_nan(figure) for name, figure in figures.items()}


def evaluate_answers(answers: Answers, labels: Sequence[str]) -> Evaluation:
    """Return the evaluation of answers, given the class names in the order of their numbers."""
    metrics = measure_answers(answers, len(labels))
    return Evaluation(**vars(metrics), labels=tuple(labels), answers=answers)


def _binomial_tail(least: int, count: int, share: float) -> float:
    """Return the chance of ``least`` or more successes in ``count`` trials.

    SciPy's function would take 0.3 s to import, which the end of each run would wait for.
    """
    logs = np.array([math.lgamma(number + 1) for number in range(count + 1)])
    numbers = np.arange(least, count + 1)
    terms = logs[count] - logs[numbers] - logs[count - numbers]
    return float(np.exp(terms + numbers * math.log(share) + (count - numbers) * math.log1p(-share)).sum())


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def none_if_nan(figure: Any) -> Any:
    """Return ``None`` for NaN, which JSON does not have."""
    return None if isinstance(figure, float) and math.isnan(figure) else figure
