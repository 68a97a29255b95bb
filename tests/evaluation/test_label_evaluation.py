"""All figures for labels equal scikit-learn's, and what does not exist is no figure."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as reference
from support.label_answers import draw_label_scores, label_answers_of
from support.notebooks import CellHtml

from hubtune.evaluation.label_evaluation import evaluate_labels, measure_labels
from hubtune.evaluation.metrics import Metrics


def _close(value):
    return pytest.approx(value, abs=1e-12, rel=0)


def _evaluate(scores, truth, unreadable=(), thresholds=None):
    labels = [f"label {number}" for number in range(np.shape(truth)[1])]
    return evaluate_labels(label_answers_of(scores, truth, unreadable, thresholds), labels)


@pytest.mark.parametrize(
    ("count", "labels", "digits", "seed"), [(60, 5, None, 0), (200, 12, 1, 1), (30, 3, 1, 2), (400, 1, 2, 3)]
)
def test_figures_equal_scikit_learns(count, labels, digits, seed):
    scores, truth = draw_label_scores(count, labels, digits=digits, seed=seed)
    if labels > 3:
        truth[:, 2] = False  # no image has it, and it is given to some
        truth[:, 3] = True
    thresholds, unreadable = np.linspace(0.25, 0.6, labels), [0, 7]
    found = _evaluate(scores, truth, unreadable, thresholds)
    scores, truth = np.delete(scores, unreadable, axis=0), np.delete(truth, unreadable, axis=0)
    predicted, present = scores >= thresholds, np.flatnonzero(truth.any(axis=0))
    assert (found.count, found.unreadable, found.top5) == (count - 2, 2, None)
    assert found.accuracy == _close(np.mean((predicted == truth).all(axis=1)))
    if labels > 1:  # scikit-learn takes a single column for classes
        assert found.accuracy == _close(reference.accuracy_score(truth, predicted))
    assert found.interval[0] <= found.accuracy <= found.interval[1]
    if digits is None:  # rounded ones are 0 and 1, too, which scikit-learn clips elsewhere
        losses = [reference.log_loss(truth[:, n], scores[:, n], labels=[0, 1]) for n in range(labels)]
        assert found.loss == _close(np.mean(losses))
    assert found.label_accuracy == _close(1 - reference.hamming_loss(truth.ravel(), predicted.ravel()))
    own = [reference.average_precision_score(truth[:, n], scores[:, n]) for n in present]
    assert found.mean_ap == found.selection_figure == _close(np.mean(own))
    assert found.micro_ap == _close(reference.average_precision_score(truth.ravel(), scores.ravel()))
    assert found.micro_f1 == _close(reference.f1_score(truth.ravel(), predicted.ravel()))
    f1 = [reference.f1_score(truth[:, n], predicted[:, n], zero_division=0) for n in present]
    assert found.macro_f1 == _close(np.mean(f1))
    for n, entry in enumerate(found.per_label):
        assert (entry.label, entry.threshold) == (f"label {n}", thresholds[n])
        column, given = truth[:, n], predicted[:, n]
        assert (entry.count, entry.predicted) == (column.sum(), given.sum())
        assert entry.correct == (column & given).sum()
        precision = reference.precision_score(column, given, zero_division=0)
        assert entry.precision == (_close(precision) if given.any() else None)
        if not column.any():
            assert entry.recall is entry.f1 is entry.interval is entry.average_precision is None
        else:
            assert entry.recall == _close(reference.recall_score(column, given))
            assert entry.f1 == _close(f1[present.tolist().index(n)])
            assert entry.average_precision == _close(own[present.tolist().index(n)])
            assert entry.interval[0] <= entry.recall <= entry.interval[1]
        area = reference.roc_auc_score(column, scores[:, n]) if 0 < column.sum() < len(column) else None
        assert entry.roc_auc == (area if area is None else _close(area))
    assert found.label_share == _close(truth.mean()) and found.mean_probability == _close(scores.mean())


def test_macro_f1_is_scikit_learns_over_the_labels_that_images_have():
    scores, truth = draw_label_scores(80, 6)
    found, predicted = _evaluate(scores, truth), scores >= 0.5
    options = {"zero_division": 0}
    assert found.macro_f1 == _close(reference.f1_score(truth, predicted, average="macro", **options))
    assert found.mean_ap == _close(reference.average_precision_score(truth, scores, average="macro"))
    assert found.micro_ap == _close(reference.average_precision_score(truth, scores, average="micro"))


def test_an_evaluation_is_the_metrics_it_adds_to():
    scores, truth = draw_label_scores(30, 4)
    answers = label_answers_of(scores, truth, [2])
    found, metrics = evaluate_labels(answers, "abcd"), measure_labels(answers)
    assert isinstance(found, Metrics) and found == metrics and metrics == found
    assert found.as_dict() == metrics.as_dict() and hash(found) == hash(metrics)
    assert "answers" not in repr(found) and found["mean_ap"] == found.mean_ap
    figures = found.as_dict()
    assert Metrics(**{**figures, "interval": tuple(figures["interval"])}) == found


def test_the_most_frequent_set_of_labels_is_what_guessing_reaches():
    truth = np.array([[0, 0, 0]] * 30 + [[1, 0, 1]] * 20 + [[0, 1, 0]] * 10)
    assert _evaluate(truth * 0.9, truth).chance_level is None
    never = _evaluate(truth * 0.4, truth)  # every image is ranked rightly, and no label is given
    assert (never.accuracy, never.largest_class, never.mean_ap, never.macro_f1) == (0.5, 0.5, 1.0, 0.0)
    assert "the most frequent set of labels would have every label right for 50.0 %" in never.chance_level
    assert [entry.precision for entry in never.per_label] == [None] * 3 and never.micro_f1 == 0


@pytest.mark.parametrize("label", [False, True])
def test_one_image_has_figures(label):
    found = _evaluate([[0.9, 0.2]], [[label, False]])
    assert (found.count, found.accuracy, found.largest_class) == (1, float(label), 1.0)
    assert found.mean_ap == 1 if label else math.isnan(found.mean_ap)
    assert found.selection_figure == float(label)  # without any label, that of the accuracy
    assert found.per_label[0].roc_auc is None
    json.dumps(found.details(), allow_nan=False)


def test_json_has_null_for_what_is_not_a_number():
    scores, truth = draw_label_scores(8, 3)
    nothing = _evaluate(scores, truth, range(8))
    document = nothing.details()
    assert document["unreadable"] == 8 and document["count"] == 0
    absent = (
        "accuracy loss mean_ap micro_ap macro_f1 micro_f1 label_accuracy label_share mean_probability ece"
    )
    assert {document[name] for name in absent.split()} == {None}
    assert document["per_label"][0]["average_precision"] is None and nothing.chance_level is None
    json.dumps(document, allow_nan=False)
    details = _evaluate(scores, truth).details()
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    assert details["per_label"][1]["interval"] == list(_evaluate(scores, truth).per_label[1].interval)


def test_scores_that_are_no_numbers_rank_lowest_and_are_wrong():
    _, truth = draw_label_scores(40, 2)
    found = _evaluate(np.full((40, 2), np.nan), truth)
    assert found.accuracy == found.label_accuracy == found.macro_f1 == 0 and found.ece is None
    # All images are tied, so that the precision is the share of images that have the label.
    assert found.mean_ap == _close(truth.mean(axis=0).mean())
    assert [entry.roc_auc for entry in found.per_label] == [0.5, 0.5]
    assert math.isnan(found.loss) and found.details()["loss"] is None
    assert math.isfinite(_evaluate([[0.0, 1.0]], [[True, False]]).loss)


def test_calibration_is_that_of_probabilities_so_that_a_shift_shows():
    scores, truth = draw_label_scores(300, 10, rarity=2.0)
    assert _evaluate(scores, truth).ece < _evaluate(scores, truth).calibration.ece_high
    logits = np.log(scores / (1 - scores))
    shifted = _evaluate(1 / (1 + np.exp(-1 - logits)), truth)
    assert shifted.ece > 0.1 > 3 * shifted.ece_expected
    assert shifted.mean_probability > shifted.label_share + 0.1
    assert sum(entry.count for entry in shifted.calibration.bins) == 3000


def test_scikit_learn_and_scipy_are_not_imported():
    program = (
        "import sys, hubtune.evaluation.label_evaluation; assert not {'sklearn', 'scipy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_notebook_shows_the_mean_average_precision_first():
    found = _evaluate(*draw_label_scores(60, 3))
    heading, row = CellHtml(found._repr_html_()).rows
    assert dict(zip(heading, row, strict=True))["mAP"] == f"{100 * found.mean_ap:.1f} %"
    assert heading[1:3] == ["mAP", "all labels right"]
