"""Scores of a list's images become an evaluation, of classes or of labels."""

from collections.abc import Iterable, Sequence

import numpy as np

from hubtune.evaluation.evaluation import Evaluation, evaluate_answers
from hubtune.evaluation.label_evaluation import LabelEvaluation, evaluate_labels
from hubtune.evaluation.thresholds import DEFAULT_THRESHOLD
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference, collect_answers, collect_label_answers


def evaluate_scores(
    results: Iterable[ImageScores],
    truth: Sequence[int],
    labels: Sequence[str],
    reference: Reference | None,
    *,
    members: np.ndarray | None = None,
    thresholds: Sequence[float] | None = None,
) -> Evaluation | LabelEvaluation:
    """Compare the scores of images with their true classes or labels.

    Args:
        results: the scores of each image, in the order of ``truth``.
        truth: the true class of each image; of multi-label images, the number of its set of labels.
        labels: names of the outputs.
        reference: features of training images, the most similar of which answers have; ``None`` without any.
        members: the labels of each set, bool ``[sets, labels]``, in the order of ``labels``; ``None`` for
            classes.
        thresholds: the probability from which an image has each label; ``None``: 0.5.
    """
    if members is None:
        return evaluate_answers(collect_answers(results, truth, reference), labels)
    own = members[np.asarray(truth, np.int64)]
    least = thresholds or [DEFAULT_THRESHOLD] * len(labels)
    return evaluate_labels(collect_label_answers(results, own, least, reference), labels)
