"""What a report has beside figures: where the model looked, suspect labels, what images would bring."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.data.audit.issues import LabelIssue
from hubtune.data.images.decode import ImageError, decode
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError, ModelError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.evaluation.learning_curve import PowerLaw, fit_learning_curve
from hubtune.evaluation.metrics import wilson_interval
from hubtune.inference.explanation import ImageExplanation, map_inputs, map_shares
from hubtune.inference.feature_table import Table, Targets
from hubtune.inference.label_ranking import DecisionIssue, rank_decisions, rank_labels
from hubtune.inference.list_features import backbone_of_model, compute_table
from hubtune.inference.model import Model
from hubtune.inference.subset_accuracy import SubsetAccuracy, accuracy_by_size
from hubtune.report.heat_map import draw_heat
from hubtune.report.run_report import (
    Findings,
    LearningCurvePoint,
    MeasuredCurve,
    SuspectDecision,
    SuspectLabel,
    worst_label_mistakes,
    worst_mistakes,
)
from hubtune.rng import rng_for

# A label is suspect if its class has less than the first probability, and another has the second or more.
_OWN, _OTHER = 0.02, 0.8
# A label of multi-label data is suspect if what the list says has less than this probability. A given one
# must also be much less probable than on other images, as rare labels are improbable everywhere. With 5 % of
# the labels of 280 collages of photos turned, 38 of 61 suspects were turned ones, and 10 of 12 with 0.02.
_OWN_DECISION, _OF_SHARE = 0.05, 0.2
# Sides of heat maps, pixels.
_SIDE = 224
# The gain of this number of images a class is reported.
_MORE_IMAGES = 50
# Sizes from this part of all images on determine the law, but at least this number of sizes. With smaller
# ones it predicted too little: docs/measurements.md.
_RANGE, _LEAST_SIZES = 4, 3
# A class needs more images if its accuracy is so far below the mean; at most so many are named.
_WEAK, _MOST_WEAK = 0.05, 2
# Features of more training images are not read again for a report.
_MOST_ROWS = 1_000


def find(
    model: Model,
    entries: Sequence[ImageEntry],
    groups: Mapping[Path, int],
    evaluation: Evaluation | LabelEvaluation | None,
    label_sets: LabelSets | None = None,
) -> Findings:
    """Look into a fine-tuned model for its report.

    Suspect labels and the learning curve are those of a head on frozen features, which are cached: models
    that were trained by gradients have none, and multi-label ones no learning curve. Of many training images,
    a sample is used.

    Args:
        model: of a run.
        entries: the training images, with their checksums.
        groups: path → number of the image's group.
        evaluation: of the model, whose worst mistakes are explained.
        label_sets: the sets of labels of the training images, for a multi-label model.
    """
    findings = Findings(similarity_threshold=model.card.similarity_threshold)
    if evaluation is not None:
        findings = replace(findings, heat_maps=_heat_maps(model, evaluation))
    if model.card.step or not entries:
        return findings
    table, readable = _sample_table(model, entries, groups)
    share = _sampled_share(entries)
    if label_sets is not None:
        table = replace(table, targets=Targets(label_sets.matrix))
        with suppress(DataError):  # there are too few images to judge labels
            findings = replace(
                findings,
                decision_issues=_suspect_decisions(model, table, readable),
                labels_sampled=None if share == 1 else len(readable),
            )
        return findings
    if len(np.unique(table.labels)) < 2:
        return findings
    findings = replace(findings, learning_curve=measure_learning_curve(table, model.labels, share))
    with suppress(DataError):  # the classes are too small to judge labels
        findings = replace(
            findings,
            label_issues=_suspect_labels(model, table, readable),
            labels_sampled=None if share == 1 else len(readable),
        )
    return findings


def measure_model_curve(
    model: Model, entries: Sequence[ImageEntry], groups: Mapping[Path, int]
) -> MeasuredCurve | None:
    """Measure the learning curve of a model with a solved head; arguments are those of :func:`find`."""
    table, _ = _sample_table(model, entries, groups)
    return measure_learning_curve(table, model.labels, _sampled_share(entries))


def _sampled_share(entries: Sequence[ImageEntry]) -> float:
    return min(1.0, _MOST_ROWS / max(len(entries), 1))


def _sample_table(
    model: Model, entries: Sequence[ImageEntry], groups: Mapping[Path, int]
) -> tuple[Table, list[ImageEntry]]:
    """Return the features of readable training images, and these images; of many, a sample."""
    if len(entries) > _MOST_ROWS:
        chosen = rng_for(0, "report").permutation(len(entries))[:_MOST_ROWS]
        entries = [entries[index] for index in np.sort(chosen)]
    backbone, blocks = backbone_of_model(model)
    table, indices = compute_table(backbone, blocks, model.card.views, entries, groups)
    return table, [entries[index] for index in indices]


def _heat_maps(model: Model, evaluation: Evaluation | LabelEvaluation) -> dict[str, bytes]:
    """Draw where the model looked in its worst mistakes: for its answer, or for the worst of its labels."""
    if isinstance(evaluation, LabelEvaluation):
        chosen = worst_label_mistakes(evaluation.answers)
    else:
        predicted = evaluation.answers.predicted
        chosen = [(place, int(predicted[place])) for place in worst_mistakes(evaluation.answers)]
    maps = {}
    # One thread: with so few numbers, several mostly wait for one another.
    with threadpool_limits(1), suppress(ModelError):  # of a network without maps
        for place, number in chosen:
            path = evaluation.answers.paths[place]
            with suppress(ImageError):  # it is gone by now
                cells, is_exact = map_shares(model, map_inputs(model.card.views, path), number)
                image = decode(path, bits=model.card.preprocessing.bits)
                image.thumbnail((_SIDE, _SIDE))
                explanation = ImageExplanation(path, model.labels[number], None, is_exact, cells)
                content = io.BytesIO()
                draw_heat(image, explanation.heat(*image.size)).save(content, "WEBP", quality=75)
                maps[path] = content.getvalue()
    return maps


def _suspect_labels(model: Model, table: Table, entries: Sequence[ImageEntry]) -> list[SuspectLabel]:
    issues = [issue for issue in rank_labels(table, len(model.labels)) if is_suspect(issue)]
    return [
        SuspectLabel(
            entries[issue.index].path,
            model.labels[entries[issue.index].label],
            issue.own,
            model.labels[issue.other],
            issue.probability,
        )
        for issue in issues
    ]


def _suspect_decisions(model: Model, table: Table, entries: Sequence[ImageEntry]) -> list[SuspectDecision]:
    return [
        SuspectDecision(
            entries[issue.index].path, model.labels[issue.label], issue.is_given, issue.probability
        )
        for issue in rank_decisions(table)
        if is_suspect_decision(issue)
    ]


def is_suspect_decision(issue: DecisionIssue) -> bool:
    """Whether a label of a multi-label image is so improbable, or probable, that a report names it."""
    rare = not issue.is_given or issue.probability < _OF_SHARE * issue.share
    return issue.own < _OWN_DECISION and rare


def is_suspect(issue: LabelIssue) -> bool:
    """Whether a label is so improbable that a report names it."""
    return issue.own < _OWN and issue.probability >= _OTHER


def fit_sizes(sizes: Sequence[SubsetAccuracy]) -> PowerLaw | None:
    """Fit the learning curve to accuracies, ascending by size; ``None`` with fewer than two sizes."""
    # The law is that of larger numbers: with few images, the error falls more slowly.
    large = [size for size in sizes if size.images * _RANGE >= sizes[-1].images]
    fitted = large if len(large) >= _LEAST_SIZES else sizes[-_LEAST_SIZES:]
    draws = [(size.images, 1 - accuracy, size.tested) for size in fitted for accuracy in size.accuracies]
    return fit_learning_curve(*zip(*draws, strict=True)) if draws else None


def measure_learning_curve(table: Table, labels: Sequence[str], share: float = 1.0) -> MeasuredCurve | None:
    """Measure the accuracy by the number of training images, and what more of them would bring.

    Args:
        table: features of training images.
        labels: class names.
        share: that the table has of all training images, to which the gain refers.

    Returns:
        ``None`` if the classes are too small for two sizes.
    """
    sizes = accuracy_by_size(table)
    fit = fit_sizes(sizes)
    if fit is None:
        return None
    points = []
    for size in sizes:
        accuracy = float(np.mean(size.accuracies))
        low, high = wilson_interval(accuracy * size.tested, size.tested)
        points.append(LearningCurvePoint(size.images, accuracy, low, high))
    accuracies = sizes[-1].per_class
    mean = float(np.nanmean(accuracies))
    weak = [int(label) for label in np.argsort(accuracies, kind="stable")[:_MOST_WEAK]]
    weakest = [labels[label] for label in weak if accuracies[label] < mean - _WEAK]
    return MeasuredCurve(points, fit.gain(sizes[-1].images / share, _MORE_IMAGES), weakest)
