"""Labels that are probably wrong: where a classifier that has not seen a picture is sure of another class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.data.audit.issues import LabelIssue
from hubtune.data.dedup.duplicates import DuplicateGroup, find_bursts
from hubtune.data.dedup.groups import merge_groups
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import make_folds
from hubtune.errors import DataError
from hubtune.hub.module import Module
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.linear_head import DEFAULT_STRENGTH, cross_validate_head, fit_head
from hubtune.inference.program import Part
from hubtune.models.classifier import Classifier
from hubtune.rng import rng_for

_FOLDS = 5
# Of more pictures, so many choose the regularisation.
_CHOOSE_STRENGTH_ON = 5_000
# Of 600 photos with 5 % planted errors, this halved the false alarms of the thresholds alone.
_IMPROBABLE = 0.2
# Where classes are told apart nearly always, their thresholds are higher than any error reaches.
_PROBABLE = 0.8
_SIZES = {"batch_size": 32, "workers": 2}


@dataclass(frozen=True)
class LabelError:
    """A picture whose label is probably wrong.

    Attributes:
        place: of the picture, in the sequence that was asked about.
        own: probability of its own class.
        other: the class that it probably is, by number.
        probability: of that class.
    """

    place: int
    own: float
    other: int
    probability: float


def features_of(
    module: Module, paths: Sequence[Path], *, advance: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Compute the pooled features of pictures, or take them from the cache that fine-tuning uses, too.

    Args:
        module: the pretrained network.
        paths: the pictures.
        advance: called with the number of pictures done and of all.

    Returns:
        float32 ``[N, width]``; a row of nan for a picture that cannot be read.

    Raises:
        MachineError: no engine can run the network here, or a picture does not load at all.
    """
    classifier = Classifier(module.backbone, num_classes=2)
    if module.weights is not None:
        classifier.load_trunk(module.network)
    view = module.preprocessing
    trunk = FrozenBackbone(
        Part(classifier, classifier.features, view),
        classifier.state_before_head(),
        module=module.backbone.name,
        layer="features",
        wanted="auto",
        cache=FeatureCache(),
        code=module.code,
    )
    rows = np.full((len(paths), module.backbone.width), np.nan, np.float32)
    for number, output in enumerate(trunk.outputs([view], paths, **_SIZES)):
        if output.rows is not None:
            rows[number] = output.rows[0]
        if advance is not None:
            advance(number + 1, len(paths))
    return rows


@dataclass(frozen=True)
class LabelErrors:
    """What a classifier says of labels.

    Attributes:
        suspects: those whose own class is least probable first. On photos with planted errors this order was
            right more often than that by the difference to the other class.
        accuracy: share of the pictures that it names as they are labelled; the lower, the more false alarms.
    """

    suspects: list[LabelError]
    accuracy: float


def check_labels(
    module: Module,
    images: Sequence[ImageEntry],
    classes: Sequence[str],
    groups: Sequence[DuplicateGroup],
    *,
    advance: Callable[[int, int], None] | None = None,
) -> tuple[list[LabelIssue], float]:
    """Find probably wrong labels by the features of a module, for a report of issues.

    Args:
        module: the pretrained network.
        images: with their labels.
        classes: the class names, in the order of the labels.
        groups: copies among the images, by their places; images of the same thing are added to them.
        advance: called with the number of images done and of all.

    Returns:
        The labels, the most certain first, and the share of images whose label the classifier behind them
        predicts.

    Raises:
        MachineError: as :func:`features_of`.
        DataError: if the classes are too small.
    """
    rows = features_of(module, [image.path for image in images], advance=advance)
    # An image in no group stands for itself.
    group_of = list(range(len(images)))
    for group in merge_groups([*groups, *find_bursts(rows)]):
        for place in group.members:
            group_of[place] = group.members[0]
    errors = find_label_errors(rows, np.array([image.label for image in images]), group_of)
    return [
        LabelIssue(error.place, error.own, classes[error.other], error.probability)
        for error in errors.suspects
    ], errors.accuracy


def find_label_errors(rows: np.ndarray, labels: np.ndarray, groups: Sequence[object]) -> LabelErrors:
    """Find labels that are probably wrong, by confident learning.

    A head is fitted on four fifths of the pictures and asked about the rest, five times. A class's threshold
    is the mean probability of it among the pictures that are labelled so. A picture is suspect where its own
    class is improbable, and another one reaches its threshold, or 0.8 (Northcutt et al., Confident learning,
    2021: the confident joint off the diagonal).

    Args:
        rows: pooled features ``[N, width]``; rows with nan are not asked about.
        labels: class of each row.
        groups: pictures of the same group are one picture, changed, and stay in one fold.

    Raises:
        DataError: the classes are too small to ask about any.
    """
    known = np.flatnonzero(np.isfinite(rows).all(axis=1))
    found = _out_of_fold(rows[known], labels[known], [groups[place] for place in known.tolist()])
    asked = np.flatnonzero(np.isfinite(found[:, 0]))
    if not len(asked):
        raise DataError(
            "The classes are too small to find wrong labels: it takes two pictures of two classes"
        )
    probabilities, own = found[asked], labels[known[asked]]
    thresholds = np.array(
        [
            probabilities[own == label, label].mean() if (own == label).any() else np.inf
            for label in range(found.shape[1])
        ]
    )
    reached = np.where(probabilities >= np.minimum(_PROBABLE, thresholds), probabilities, 0.0)
    other = reached.argmax(axis=1)
    each = np.arange(len(asked))
    limits = np.minimum(_IMPROBABLE, thresholds[own])
    suspect = (reached[each, other] > 0) & (probabilities[each, own] < limits)
    suspects = [
        LabelError(
            int(known[asked[row]]),
            float(probabilities[row, own[row]]),
            int(other[row]),
            float(probabilities[row, other[row]]),
        )
        for row in np.flatnonzero(suspect)
    ]
    return LabelErrors(
        sorted(suspects, key=lambda suspect: (suspect.own, suspect.place)),
        float((probabilities.argmax(axis=1) == own).mean()),
    )


def _out_of_fold(rows: np.ndarray, labels: np.ndarray, groups: Sequence[object]) -> np.ndarray:
    """Probabilities ``[N, classes]`` by heads that have not seen the picture; nan where there is none."""
    classes = int(labels.max(initial=0)) + 1
    found = np.full((len(rows), classes), np.nan)
    folds = make_folds(labels, groups, folds=_FOLDS, seed=0)
    if not folds:
        return found
    strength = DEFAULT_STRENGTH
    few = rng_for("suspects").permutation(len(rows))[:_CHOOSE_STRENGTH_ON]
    choosing = make_folds(labels[few], [groups[place] for place in few.tolist()], folds=_FOLDS, seed=0)
    if choosing:
        strength = cross_validate_head(rows[few], labels[few], choosing).strength
    for fitted, tested in folds:
        head = fit_head(rows[fitted], labels[fitted], strength, num_classes=classes)
        logits = rows[tested] @ head.weight + head.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
        found[tested] = powers / powers.sum(axis=1, keepdims=True)
    return found
