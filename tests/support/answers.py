"""Answers of drawn classifiers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from hubtune.evaluation.answers import collect
from hubtune.inference.predict import softmax


def draw_scores(count, classes, *, skill=2.0, scale=1.0, seed=0):
    """Return probabilities ``[count, classes]`` and true classes that are drawn from them at scale 1."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, classes)) * skill
    probabilities = np.array([softmax(row) for row in logits]).reshape(count, classes)
    truth = [int(random.choice(classes, p=row)) for row in probabilities]
    return np.array([softmax(row * scale) for row in logits]).reshape(count, classes), truth


def results_of(scores):
    """Return results of prediction with these scores; ``None`` is an image that cannot be read."""
    return [
        SimpleNamespace(
            path=Path(f"{number}.jpg"),
            values=values,
            error=None if values is not None else SimpleNamespace(reason="it is cut off"),
        )
        for number, values in enumerate(scores)
    ]


def answers_of(scores, truth, unreadable=()):
    """Return the answers for scores ``[count, classes]``; some images have none."""
    scores = [None if number in unreadable else values for number, values in enumerate(scores)]
    return collect(results_of(scores), truth)
