"""What the report of a run shows, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.evaluation.answers import Answers
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_answers import LabelAnswers
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.evaluation.metrics import Metrics

MOST_CLASSES = 30
"""Most classes of which the whole confusion matrix is shown, and that tables show without a click."""

MOST_MISTAKES = 12
"""Most mistakes that a report shows with where the model looked."""


@dataclass(frozen=True)
class SuspectLabel:
    """A label that is probably wrong.

    Attributes:
        path: the image.
        label: its class by the list.
        own: probability of that class, by a model that was trained without the image.
        other: the class that this model names.
        other_probability: its probability.
    """

    path: Path
    label: str
    own: float
    other: str
    other_probability: float


@dataclass(frozen=True)
class SuspectDecision:
    """A label that a multi-label image probably has although the list does not say so, or the other way.

    Attributes:
        path: the image.
        label: name of the label.
        is_given: whether the image has it by the list.
        probability: of the label, by a model that was trained without the image.
    """

    path: Path
    label: str
    is_given: bool
    probability: float


@dataclass(frozen=True)
class LearningCurvePoint:
    """Accuracy by training on a part of the list: mean over draws, and its 95 % confidence interval.

    ``images`` is the number of training images a class.
    """

    images: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class MeasuredCurve:
    """Accuracies for several sizes of the training list, and what more images would bring.

    Attributes:
        points: ascending by size.
        gain: by how much the accuracy would rise with 50 more training images a class, and the 95 % interval
            of that.
        weakest: the classes with the lowest accuracies, which need more images most.
    """

    points: Sequence[LearningCurvePoint]
    gain: tuple[float, float, float]
    weakest: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the curve for JSON."""
        gain, low, high = self.gain
        points = [vars(point) for point in self.points]
        return {"points": points, "gain": gain, "gain_interval": [low, high], "weakest": [*self.weakest]}


@dataclass(frozen=True)
class Findings:
    """What was found out about a run beside its figures; everything may be missing.

    Attributes:
        heat_maps: path of an image, as in the answers → WebP file that shows where the model looked.
        label_issues: labels of the training list that are probably wrong, by models that had not seen the
            image; ``None``: not checked.
        decision_issues: the same of multi-label data.
        labels_sampled: number of training images that were checked, a sample; ``None``: all.
        similarity_threshold: similarity to training images below which an image is of another kind;
            ``None``: unknown.
        learning_curve: ``None``: not measured.
    """

    heat_maps: Mapping[str, bytes] = field(default_factory=dict)
    label_issues: Sequence[SuspectLabel] | None = None
    decision_issues: Sequence[SuspectDecision] | None = None
    labels_sampled: int | None = None
    similarity_threshold: float | None = None
    learning_curve: MeasuredCurve | None = None


@dataclass(frozen=True)
class RunReport:
    """All that a report shows; what is empty or ``None`` is left out, or the report says that it is missing.

    Attributes:
        name: name of the run.
        folder: the run folder, as commands name it.
        evaluation: the evaluation on a list; ``None`` if the run has no list to measure on.
        list_name: ``test``, ``validate``, ``train``, or the name of another list.
        untouched: whether nothing was chosen on that list.
        trained: number of its images that are in the training list; 0 for a list of the run.
        earlier: figures on that list from the end of the run, for images that are gone.
        findings: what was found out beside the figures.
        counts: class, or label of multi-label data → number of images in each list, by the list's name.
        multi_label: whether an image may have several labels.
        sizes: number of images in each list, by its name, where ``counts`` has an image several times.
        unlabelled: number of images without a label in each list, likewise.
        thresholds_from: what the thresholds of a multi-label model were chosen on: ``train``, images that
            were left out of a fit; ``validate``; or empty if they were not chosen.
        skipped: list, path and reason of each image that could not be read in training.
        groups: number of groups of copies or related images that stay in one list; ``None``: unknown.
        random_leaks: list → images with a copy in training that a random split would have had.
        remarks: what a person should know about the lists, one sentence each.
        history: the run's evaluations on the validation list, as in ``metrics.jsonl``.
        used: the run's settings, software and checksums as text: ``module``, ``strategy``, ``views``,
            ``started``, ``duration``, ``command``, ``versions``, ``machine``, and SHA-256 of the lists
            ``train``, ``validate`` and ``test``, of ``weights`` and ``code``.
    """

    name: str
    folder: str
    evaluation: Evaluation | LabelEvaluation | None
    list_name: str = "test"
    untouched: bool = True
    trained: int = 0
    earlier: Metrics | None = None
    findings: Findings = field(default_factory=Findings)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    multi_label: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    thresholds_from: str = ""
    skipped: Sequence[tuple[str, str, str]] = ()
    groups: int | None = None
    random_leaks: Mapping[str, float] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    used: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> Evaluation | None:
        """The evaluation of classes, if at least one image can be read."""
        evaluation = self.evaluation
        return evaluation if isinstance(evaluation, Evaluation) and evaluation.count else None

    @property
    def measured_labels(self) -> LabelEvaluation | None:
        """The evaluation of labels, if at least one image can be read."""
        evaluation = self.evaluation
        return evaluation if isinstance(evaluation, LabelEvaluation) and evaluation.count else None

    @property
    def metrics(self) -> Metrics | None:
        """The overall figures: those of the evaluation, or else the earlier ones."""
        return self.measured or self.measured_labels or self.earlier


def worst_mistakes(answers: Answers, most: int = MOST_MISTAKES) -> list[int]:
    """Return the places of the wrong answers with the highest confidence, the highest first."""
    wrong = np.flatnonzero(answers.readable & ~answers.correct)
    return [int(place) for place in wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:most]]


def worst_label_mistakes(answers: LabelAnswers, most: int = MOST_MISTAKES) -> list[tuple[int, int]]:
    """Return the places of the images with the most wrong labels, and the number of the worst label of each.

    Of images with the same number of wrong labels, those come first whose worst one is the surest.
    """
    distance = wrong_distance(answers)
    counts, worst = (distance > 0).sum(axis=1), distance.max(axis=1, initial=0)
    order = np.lexsort((-worst, -counts))
    return [(int(place), int(distance[place].argmax())) for place in order[:most] if counts[place]]


def wrong_distance(answers: LabelAnswers) -> np.ndarray:
    """Return how far the probability of each wrong decision is from the truth, ``[N, labels]``.

    0 for right decisions and unreadable images; 1 for a probability that is NaN.
    """
    wrong = ~answers.right_decisions & answers.readable[:, None]
    distance = np.abs(answers.probabilities - answers.truth)
    return np.where(wrong, np.nan_to_num(distance, nan=1.0), 0.0)
