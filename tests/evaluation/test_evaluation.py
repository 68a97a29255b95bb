"""All figures of an evaluation equal scikit-learn's, and what does not exist is no figure."""

import json
import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference
from support.answers import answers_of, draw_scores

from hubtune.evaluation.evaluation import Attractor, ConfusedPair, evaluate_answers
from hubtune.evaluation.metrics import Metrics, measure_answers


def _close(value):
    return pytest.approx(value, abs=1e-12, rel=0)


def _names(classes):
    return [f"class {number}" for number in range(classes)]


def _of_confusion(rows):
    """Return the evaluation of answers with these numbers of images, true classes by rows."""
    truth = [label for label, row in enumerate(rows) for count in row for _ in range(count)]
    predicted = [number for row in rows for number, count in enumerate(row) for _ in range(count)]
    scores = np.eye(len(rows))[predicted] * 0.7 + 0.3 / len(rows)
    return evaluate_answers(answers_of(scores, truth), _names(len(rows)))


@pytest.mark.parametrize(("count", "classes"), [(40, 2), (120, 6), (300, 25), (60, 40)])
def test_figures_equal_scikit_learns(count, classes):
    scores, truth = draw_scores(count, classes, seed=classes)
    unreadable = [0, 7]
    found = evaluate_answers(answers_of(scores, truth, unreadable), _names(classes))
    scores, truth = np.delete(scores, unreadable, axis=0), np.delete(truth, unreadable)
    predicted, every, present = scores.argmax(axis=1), np.arange(classes), np.unique(truth)
    assert (found.count, found.unreadable) == (count - 2, 2)
    assert found.accuracy == _close(reference.accuracy_score(truth, predicted))
    assert found.loss == _close(reference.log_loss(truth, scores, labels=every))
    with warnings.catch_warnings(action="ignore"):
        assert found.balanced_accuracy == _close(reference.balanced_accuracy_score(truth, predicted))
    options = {"labels": present, "zero_division": 0}
    assert found.macro_f1 == _close(reference.f1_score(truth, predicted, average="macro", **options))
    assert found.confusion.tolist() == reference.confusion_matrix(truth, predicted, labels=every).tolist()
    for k, share in found.top_k.items():
        if classes > 2:  # of two, scikit-learn wants the scores of one
            assert share == _close(reference.top_k_accuracy_score(truth, scores, k=k, labels=every))
    parts = reference.precision_recall_fscore_support(truth, predicted, labels=every, zero_division=np.nan)
    for entry, precision, recall, f1, support in zip(found.per_class, *parts, strict=True):
        assert entry.count == support
        if support:
            assert (entry.recall, entry.f1) == (_close(recall), _close(f1))
            assert entry.precision == (_close(precision) if entry.predicted else None)
            assert entry.interval[0] <= entry.recall <= entry.interval[1]
    assert found.mean_confidence == _close(scores.max(axis=1).mean())
    low, high = found.mean_confidence_interval
    assert low < found.mean_confidence < high


def test_an_evaluation_is_the_metrics_it_adds_to():
    scores, truth = draw_scores(30, 6)
    answers = answers_of(scores, truth)
    found, metrics = evaluate_answers(answers, _names(6)), measure_answers(answers, 6)
    assert isinstance(found, Metrics) and found == metrics and metrics == found
    assert found.as_dict() == metrics.as_dict() and hash(found) == hash(metrics)
    assert "answers" not in repr(found)


def test_a_notebook_shows_the_figures_of_the_metrics():
    answers = answers_of(*draw_scores(60, 3))
    evaluation = evaluate_answers(answers, ["<a>", "b", "c"])
    assert evaluation._repr_html_() == measure_answers(answers, 3)._repr_html_() is not None


def test_classes_without_images_have_no_figures_and_those_never_predicted_no_precision():
    found = _of_confusion([[5, 0, 1], [3, 0, 0], [0, 0, 0]])
    assert [entry.count for entry in found.per_class] == [6, 3, 0]
    first, second, third = found.per_class
    assert (first.precision, first.taken_for, first.taken_count) == (5 / 8, "class 2", 1)
    assert (second.precision, second.recall, second.f1, second.taken_for) == (None, 0, 0, "class 0")
    assert (third.precision, third.recall, third.interval, third.f1, third.predicted) == (*[None] * 4, 1)
    assert third.taken_for is None
    assert found.balanced_accuracy == _close((5 / 6 + 0) / 2)


def test_json_has_null_for_what_is_not_a_number_and_rows_for_true_classes():
    scores, truth = draw_scores(8, 3)
    for unreadable in ((), range(8)):
        document = evaluate_answers(answers_of(scores, truth, unreadable), _names(3)).details()
        text = json.dumps(document, allow_nan=False)
        assert json.loads(text)["unreadable"] == len(unreadable)
    assert (
        document["accuracy"] is document["loss"] is document["balanced_accuracy"] is document["ece"] is None
    )
    assert document["top_k"] == {"1": None, "3": None}
    assert document["confusion"] == [[0] * 3] * 3
    assert document["per_class"][0]["recall"] is None
    document = _of_confusion([[2, 1], [0, 4]]).details()
    assert document["confusion"] == [[2, 1], [0, 4]]
    assert document["most_confused"] == [{"label": "class 0", "predicted": "class 1", "count": 1}]
    nothing = evaluate_answers(answers_of(np.full((2, 2), np.nan), [0, 1]), _names(2)).details()
    assert nothing["loss"] is nothing["mean_confidence"] is None
    json.dumps(nothing, allow_nan=False)


def test_pairs_that_are_confused_are_named_most_frequent_first():
    pairs = _of_confusion([[9, 1, 0], [4, 3, 0], [1, 0, 6]]).most_confused
    assert pairs[0] == ConfusedPair("class 1", "class 0", 4)
    assert [(pair.label, pair.predicted) for pair in pairs[1:]] == [
        ("class 0", "class 1"),
        ("class 2", "class 0"),
    ]
    assert _of_confusion([[9, 0], [0, 3]]).most_confused == []


def test_a_class_that_attracts_the_others_is_found_and_an_even_spread_has_none():
    found = _of_confusion([[20, 0, 0, 0], [6, 14, 0, 1], [7, 1, 12, 0], [5, 0, 0, 15]]).attractor
    assert found == Attractor("class 0", 18, 20, 3)
    assert _of_confusion([[18, 2, 2, 2], [2, 18, 2, 2], [2, 2, 18, 2], [2, 2, 2, 18]]).attractor is None
    # One pair that is confused is no class that attracts the others, and two classes have no others.
    assert _of_confusion([[20, 0, 0], [15, 5, 0], [0, 0, 20]]).attractor is None
    assert _of_confusion([[20, 0], [15, 5]]).attractor is None
    assert _of_confusion([[5, 0, 0], [1, 4, 0], [1, 0, 4]]).attractor is None


def test_errors_at_random_rarely_have_an_attractor():
    random, found = np.random.default_rng(0), 0
    for _ in range(150):
        rows = [random.multinomial(6, np.full(6, 1 / 6)) + 14 * np.eye(6, dtype=int)[n] for n in range(6)]
        found += _of_confusion(rows).attractor is not None
    assert found <= 7


def test_one_class_and_no_images_have_figures_where_they_exist():
    found = _of_confusion([[4]])
    assert (found.accuracy, found.balanced_accuracy, found.macro_f1, found.top_k) == (1, 1, 1, {1: 1})
    empty = evaluate_answers(answers_of([], []), _names(2))
    assert math.isnan(empty.macro_f1) and empty.mean_confidence_interval == (0, 1)
    assert (empty.ece, empty.ece_expected, empty.calibration.bins) == (None, None, [])


def test_the_order_of_the_list_has_no_effect():
    scores, truth = draw_scores(100, 4)
    scores = scores.round(1)  # with many equal confidences
    order = np.random.default_rng(1).permutation(100)
    first = evaluate_answers(answers_of(scores, truth), _names(4)).details()
    second = evaluate_answers(answers_of(scores[order], [truth[n] for n in order]), _names(4)).details()
    for name in ("ece", "ece_expected", "ece_high", "calibration", "confusion", "per_class", "accuracy"):
        assert first[name] == second[name], name
