"""Scores are compared with classes, or with the sets of labels that images have."""

from pathlib import Path

import numpy as np
import pytest

from hubtune.data.images.decode import ImageError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.inference.evaluate import evaluate_scores
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference

ROWS = [[0.9, 0.2], [0.4, 0.6], [0.1, 0.3]]
MEMBERS = np.array([[True, False], [True, True], [False, False]])


def _results():
    for number, row in enumerate(ROWS):
        features = np.float32([1, 0] if number else [0, 1])
        yield ImageScores(Path(f"{number}.jpg"), np.array(row), None, features)
    bad = Path("bad.jpg")
    yield ImageScores(bad, None, ImageError(bad, "no picture"))


def test_classes_are_compared_by_the_highest_score():
    evaluation = evaluate_scores(_results(), [0, 0, 1, 1], ["a", "b"], None)
    assert type(evaluation) is Evaluation
    assert (evaluation.accuracy, evaluation.unreadable) == (2 / 3, 1)


@pytest.mark.parametrize(("thresholds", "right"), [(None, 2), ([0.3, 0.5], 3)])
def test_sets_of_labels_are_compared_by_the_thresholds(thresholds, right):
    evaluation = evaluate_scores(
        _results(), [0, 1, 2, 2], ["a", "b"], None, members=MEMBERS, thresholds=thresholds
    )
    assert type(evaluation) is LabelEvaluation
    assert (evaluation.accuracy, evaluation.unreadable) == (right / 3, 1)


@pytest.mark.parametrize("members", [None, MEMBERS])
def test_answers_have_the_most_similar_training_image(members):
    reference = Reference(np.float16([[0, 1], [1, 0]]), np.array([0, 1]), ["x.jpg", "y.jpg"])
    evaluation = evaluate_scores(_results(), [0, 1, 0, 0], ["a", "b"], reference, members=members)
    assert evaluation.answers.nearest == ["x.jpg", "y.jpg", "y.jpg", None]
