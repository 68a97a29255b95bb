"""Answers of drawn multi-label classifiers."""

import numpy as np

from hubtune.evaluation.label_answers import collect_labels
from support.answers import results_of


def draw_label_scores(count, labels, *, skill=2.0, rarity=1.0, digits=None, seed=0):
    """Return probabilities ``[count, labels]`` and the truth, drawn from them; ``digits`` makes them tie."""
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(rarity - skill * random.normal(size=(count, labels))))
    truth = random.random((count, labels)) < scores
    return scores if digits is None else np.round(scores, digits), truth


def label_answers_of(scores, truth, unreadable=(), thresholds=None):
    """Return the answers for scores ``[count, labels]``; some images have none. Thresholds are 0.5."""
    truth = np.asarray(truth, bool)
    rows = [None if number in unreadable else values for number, values in enumerate(scores)]
    return collect_labels(
        results_of(rows), truth, np.full(truth.shape[1], 0.5) if thresholds is None else thresholds
    )
