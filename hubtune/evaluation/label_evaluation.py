"""The evaluation of a multi-label classifier on a list: all figures, overall and per label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hubtune.evaluation.calibration import Calibration
from hubtune.evaluation.evaluation import none_if_nan
from hubtune.evaluation.label_answers import LabelAnswers
from hubtune.evaluation.metrics import Metrics, wilson_interval
from hubtune.evaluation.separation import auroc, average_precision


@dataclass(frozen=True)
class LabelMetrics:
    """The metrics of one label, over the readable images.

    Attributes:
        label: its name.
        count: number of images that have it.
        predicted: number of images that it was given to.
        correct: number of images that have it and that it was given to.
        precision: share of the images it was given to that have it; ``None`` if there are none.
        recall: share of the images that have it that it was given to; ``None`` if none has it.
        interval: 95 % confidence interval of the recall; ``None`` if no image has it.
        f1: harmonic mean of precision and recall; 0 if it was never predicted; ``None`` if no image has it.
        average_precision: see :func:`~hubtune.evaluation.separation.average_precision`; ``None`` if no image
            has it.
        roc_auc: area under the ROC curve; ``None`` if no image has it, or all have.
        threshold: probability from which on it is given.
    """

    label: str
    count: int
    predicted: int
    correct: int
    precision: float | None
    recall: float | None
    interval: tuple[float, float] | None
    f1: float | None
    average_precision: float | None
    roc_auc: float | None
    threshold: float

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics as JSON has them."""
        return {**vars(self), "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelEvaluation(Metrics):
    """A multi-label classifier's metrics on a list, with all that follows from its answers.

    As :class:`~hubtune.evaluation.metrics.Metrics`, it has the accuracy of whole answers: the share of the
    readable images with every label right. The loss is the mean binary cross entropy over images and labels.
    Means over labels count only labels that an image has. Figures that do not exist are ``nan``. To rank
    images, a probability that is NaN counts as the lowest.

    Attributes:
        labels: their names, in the order of the network's outputs.
        answers: the answers for the images.
    """

    labels: tuple[str, ...]
    answers: LabelAnswers = field(repr=False)

    @cached_property
    def per_label(self) -> list[LabelMetrics]:
        """The metrics of each label, in the order of ``labels``."""
        readable = self.answers.readable
        truth, predicted = self.answers.truth[readable], self.answers.predicted[readable]
        precisions, scores = _average_precisions(self.answers), _ranked(self.answers)
        return [
            LabelMetrics(
                label,
                count := int(truth[:, n].sum()),
                given := int(predicted[:, n].sum()),
                right := int((truth & predicted)[:, n].sum()),
                precision=right / given if given else None,
                recall=right / count if count else None,
                interval=wilson_interval(right, count) if count else None,
                f1=2 * right / (count + given) if count else None,
                average_precision=precisions[n],
                roc_auc=auroc(scores[truth[:, n], n], scores[~truth[:, n], n]),
                threshold=float(self.answers.thresholds[n]),
            )
            for n, label in enumerate(self.labels)
        ]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels."""
        return _mean_of_known([entry.f1 for entry in self.per_label])

    @property
    def micro_f1(self) -> float:
        """F1 of all decisions together, in which frequent labels weigh more."""
        total = sum(entry.count + entry.predicted for entry in self.per_label)
        return 2 * sum(entry.correct for entry in self.per_label) / total if total else math.nan

    @property
    def label_accuracy(self) -> float:
        """Share of right decisions over images and labels, which is 1 less the Hamming loss."""
        right = self.answers.right_decisions[self.answers.readable]
        return int(right.sum()) / right.size if right.size else math.nan

    @cached_property
    def micro_ap(self) -> float:
        """Average precision of all decisions together."""
        truth, scores = self.answers.truth[self.answers.readable], _ranked(self.answers)
        found = average_precision(scores[truth], scores[~truth])
        return math.nan if found is None else found

    @property
    def label_share(self) -> float:
        """Share of all decisions for which the label is true."""
        truth = self.answers.truth[self.answers.readable]
        return int(truth.sum()) / truth.size if truth.size else math.nan

    @property
    def mean_probability(self) -> float:
        """Mean of the probabilities: the ``label_share`` that the classifier claims."""
        values = self.answers.probabilities[self.answers.readable]
        return float(values.mean()) if values.size else math.nan

    @cached_property
    def calibration(self) -> Calibration:
        """Probabilities of labels, and how often the labels are true, in bins of probability.

        In a bin, ``confidence`` is a mean probability, and ``correct`` counts true labels. Confidences of
        decisions, p or 1 - p, would hide probabilities that are all too high: given labels are too confident
        then, the others too cautious, and both are in the same bins. In a simulation with logits that were
        too high by 1, the error was 13.3 % by probabilities and 1.4 % by decisions, with 1.6 % by chance.

        What chance gives is for independent decisions. It is more where labels of an image depend on each
        other beyond their probabilities.
        """
        readable = self.answers.readable
        return Calibration(self.answers.probabilities[readable].ravel(), self.answers.truth[readable].ravel())

    @property
    def ece(self) -> float | None:
        """Calibration error of the probabilities; ``None`` without any."""
        return self.calibration.ece

    @property
    def ece_expected(self) -> float | None:
        """Mean ``ece`` of a perfectly calibrated classifier with the same probabilities."""
        return self.calibration.ece_expected

    def details(self) -> dict[str, Any]:
        """Return all figures as JSON has them; a figure that does not exist is ``None``."""
        calibration = self.calibration
        figures = {
            **self.as_dict(),
            "mean_ap": self.mean_ap,
            "micro_ap": self.micro_ap,
            "macro_f1": self.macro_f1,
            "micro_f1": self.micro_f1,
            "label_accuracy": self.label_accuracy,
            "label_share": self.label_share,
            "mean_probability": self.mean_probability,
            "ece": calibration.ece,
            "ece_expected": calibration.ece_expected,
            "ece_high": calibration.ece_high,
            "calibration": [entry.as_dict() for entry in calibration.bins],
            "per_label": [entry.as_dict() for entry in self.per_label],
        }
        return {name: none_if_nan(figure) for name, figure in figures.items()}


def evaluate_labels(answers: LabelAnswers, labels: Sequence[str]) -> LabelEvaluation:
    """Return the evaluation of answers, given the names of the labels in the order of the outputs."""
    return LabelEvaluation(**vars(measure_labels(answers)), labels=tuple(labels), answers=answers)


def measure_labels(answers: LabelAnswers) -> Metrics:
    """Compute the metrics of answers for labels, without those of each label."""
    readable, unreadable = answers.readable, answers.unreadable
    if not (count := int(readable.sum())):
        return Metrics(math.nan, math.nan, 0, (0.0, 1.0), unreadable, mean_ap=math.nan)
    truth, probabilities = answers.truth[readable], answers.probabilities[readable]
    correct = int(answers.correct.sum())
    # A probability that underflows to 0 would make the loss infinite although the network is sound.
    own = np.maximum(np.where(truth, probabilities, 1 - probabilities), 1e-300)
    loss = float(-np.log(own).mean()) + 0.0  # which makes -0 0
    _, sizes = np.unique(truth, axis=0, return_counts=True)
    return Metrics(
        correct / count,
        loss,
        count,
        wilson_interval(correct, count),
        unreadable,
        largest_class=int(sizes.max()) / count,
        mean_ap=_mean_of_known(_average_precisions(answers)),
    )


def _ranked(answers: LabelAnswers) -> np.ndarray:
    """Return the probabilities of the readable images, with -inf for NaN."""
    probabilities = answers.probabilities[answers.readable]
    return np.where(np.isnan(probabilities), -np.inf, probabilities)


def _average_precisions(answers: LabelAnswers) -> list[float | None]:
    truth, scores = answers.truth[answers.readable], _ranked(answers)
    columns = zip(truth.T, scores.T, strict=True)
    return [average_precision(column[own], column[~own]) for own, column in columns]


def _mean_of_known(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan
