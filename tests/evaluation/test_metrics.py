"""Figures count pictures, and their intervals are Wilson's."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from support.answers import results_of
from support.notebooks import CellHtml

from hubtune.evaluation.metrics import Metrics, describe_figures, measure, wilson_interval


def _measure(scores, truth):
    classes = next((len(values) for values in scores if values is not None), 2)
    return measure(results_of(scores), truth, classes)


def test_accuracy_counts_pictures_and_leaves_unreadable_ones_out():
    scores = [np.array([0.9, 0.1]), None, np.array([0.4, 0.6]), np.array([0.8, 0.2])]
    metrics = _measure(scores, [0, 0, 1, 1])
    assert metrics.accuracy == 2 / 3
    assert (metrics.count, metrics.unreadable) == (3, 1)
    assert metrics.loss == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.2)) / 3)
    assert metrics["interval"] == list(metrics.interval)
    assert metrics == Metrics(*vars(metrics).values()) != _measure(scores, [0, 0, 1, 0])


def test_what_has_no_figure_is_nan_or_none_and_a_score_of_zero_gives_a_finite_loss():
    metrics = _measure([None], [0])
    assert math.isnan(metrics.accuracy)
    assert metrics.interval == (0.0, 1.0)
    assert math.isfinite(_measure([np.array([1.0, 0.0])], [1]).loss)
    assert math.isnan(_measure([np.array([np.nan, np.nan])], [1]).loss)
    assert _measure([np.full(5, 0.2)], [4]).top5 is None
    # Of equal scores the first class's counts as the higher one, as it does for the accuracy.
    assert _measure([np.full(6, 1 / 6)] * 2, [4, 5]).top5 == 0.5


def test_the_interval_is_wilsons():
    for correct, count in ((0, 1), (1, 1), (0, 10), (10, 10), (90, 100), (97, 120), (1, 1000)):
        expected = binomtest(correct, count).proportion_ci(0.95, method="wilson")
        assert wilson_interval(correct, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_equals_that_of_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason="statsmodels is not installed")
    for correct, count in ((1, 1), (3, 10), (90, 100), (97, 120), (1, 1000)):
        expected = proportion.proportion_confint(correct, count, method="wilson")
        assert wilson_interval(correct, count) == pytest.approx(expected, abs=1e-12)


def test_the_interval_has_the_true_accuracy_in_95_of_100_cases():
    for count in (30, 60, 120, 500):
        covered = []
        for true in np.linspace(0.1, 0.95, 18):
            correct = np.arange(count + 1)
            intervals = np.array([wilson_interval(number, count) for number in correct.tolist()])
            inside = (intervals[:, 0] <= true) & (true <= intervals[:, 1])
            covered.append(binom.pmf(correct, count, true)[inside].sum())
        assert 0.945 <= np.mean(covered) <= 0.96
        assert min(covered) > 0.92 and max(covered) < 0.985


def test_an_interval_contains_its_share():
    assert wilson_interval(0, 3)[0] == 0 and wilson_interval(7, 7)[1] == 1


def test_an_accuracy_that_guessing_may_reach_is_named():
    def measured(right, wrong, labels):
        scores = [np.eye(3)[label] for label in labels]
        return _measure(
            [*scores[:right], *(np.roll(row, 1) for row in scores[right:])][: right + wrong], labels
        )

    balanced, skewed = [0, 1, 2] * 20, [0] * 50 + [1] * 10
    for right, labels, share in ((60, balanced, None), (24, balanced, "33.3 %"), (52, skewed, "83.3 %")):
        metrics = measured(right, 60 - right, labels)
        sentence = metrics.chance_level
        assert (share in sentence and "of these 60 pictures" in sentence) if share else sentence is None
        assert metrics["largest_class"] == pytest.approx(50 / 60 if share == "83.3 %" else 1 / 3)
    assert _measure([None], [0]).chance_level is None


def test_the_best_model_is_chosen_by_mean_average_precision_where_there_is_one():
    metrics = Metrics(0.5, 0.1, 60, (0.4, 0.6), largest_class=0.45)
    assert metrics.selection_figure == 0.5 and "mean_ap" not in metrics.as_dict()
    assert "the most frequent class would be right for 45.0 %" in metrics.chance_level
    labels = replace(metrics, mean_ap=0.8)
    assert labels.selection_figure == labels["mean_ap"] == 0.8 and labels != metrics
    assert "set of labels would have every label right for 45.0 % of these 60" in labels.chance_level
    # What a run's result has is read back whole.
    figures = labels.as_dict()
    assert Metrics(**{**figures, "interval": tuple(figures["interval"])}) == labels
    assert replace(metrics, mean_ap=math.nan).selection_figure == 0.5


FIGURES = Metrics(0.8, 0.5, 120, wilson_interval(96, 120), top5=0.99, largest_class=0.2)


def test_a_notebook_shows_the_figures_with_the_interval():
    shown = CellHtml(FIGURES._repr_html_())
    heading, row = shown.rows
    assert dict(zip(heading, row, strict=True)) == {
        "": "",
        "accuracy": "80.0 %",
        "95 % interval": "72.0–86.2 %",
        "right": "96",
        "pictures": "120",
        "top-5": "99.0 %",
        "loss": "0.500",
    }
    assert not shown.alerts


def test_a_notebook_shows_a_warning_where_guessing_may_be_as_good_and_unreadable_images():
    poor = replace(FIGURES, accuracy=0.25, interval=(0.18, 0.33), unreadable=3)
    shown = CellHtml(poor._repr_html_())
    assert shown.alerts == [poor.chance_level]
    assert shown.rows[1][shown.rows[0].index("unreadable")] == "3"


def test_a_notebook_shows_the_mean_average_precision_of_several_labels_and_a_dash_without_figures():
    several = replace(FIGURES, mean_ap=0.75, top5=None)
    heading, row = CellHtml(several._repr_html_()).rows
    assert heading[1:3] == ["mAP", "all labels right"] and row[1:3] == ["75.0 %", "80.0 %"]
    none = Metrics(math.nan, math.nan, 0, (0.0, 1.0), 2, mean_ap=math.nan)
    assert CellHtml(none._repr_html_()).rows[1] == ["", "–", "–", "–", "–", "0", "–", "2", ""]


def test_lists_without_a_figure_have_a_dash_and_remarks_stand_at_the_end():
    plain = replace(FIGURES, top5=None)
    parts = describe_figures({"test": FIGURES, "validate": plain}, {"validate": "chosen on it <"})
    heading, test, validate = CellHtml(str(parts[0])).rows
    assert (test[0], validate[0]) == ("test", "validate")
    assert (test[-1], validate[-1]) == ("", "chosen on it <")
    assert validate[heading.index("top-5")] == "–"


def test_metrics_are_read_back_from_json():
    assert Metrics.from_dict(FIGURES.as_dict()) == FIGURES
    old = {"accuracy": 0.75, "loss": 0.5, "count": 4, "interval": [0.3, 0.95]}
    assert Metrics.from_dict(old) == Metrics(0.75, 0.5, 4, (0.3, 0.95))
