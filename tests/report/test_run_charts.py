"""The charts of a report are those that it has data for."""

import re
from dataclasses import replace

import numpy as np
import pytest
from support.label_reports import drawn_label_report, label_report_of
from support.reports import report_of

from hubtune.report.phrases import Phrases
from hubtune.report.run_charts import by_precision, draw_run_charts
from hubtune.report.run_report import Findings, LearningCurvePoint, MeasuredCurve


def names(report, evaluation=None):
    charts = draw_run_charts(report, evaluation, Phrases("en"))
    return {name for name, chart in charts.items() if chart is not None}


@pytest.fixture
def report():
    return replace(report_of([0, 1, 2], [0, 1, 1]), history=[{"step": 0, "accuracy": 0.5, "loss": 0.7}])


def test_a_solved_head_has_no_training_curve_and_few_classes_no_map(report):
    assert names(report) == set()
    assert names(report, report.evaluation) == {"reliability"}
    many = report_of([0, 1], [0, 2], labels=[f"class {number}" for number in range(40)])
    assert names(many, many.evaluation) == {"reliability", "confusion_map"}


def test_training_has_curves_of_the_finite_figures(report):
    history = [{"step": step, "accuracy": step / 10, "loss": float("nan")} for step in range(4)]
    report = replace(report, history=[*history, {"step": None, "accuracy": 3}, {"list": "test"}])
    assert names(report) == {"accuracy"}
    chart = draw_run_charts(report, None, Phrases("en"))["accuracy"]
    assert "From 0\u00a0% to 30.0\u00a0%, over the steps of training." in chart
    assert chart.count("<circle") == 4
    long = [{"step": step, "loss": 1 / (1 + step)} for step in range(100_000)]
    assert len(draw_run_charts(replace(report, history=long), None, Phrases("en"))["loss"]) < 20_000


def test_a_learning_curve_is_drawn_where_it_was_measured(report):
    gain = (0.02, 0.01, 0.03)
    points = [LearningCurvePoint(n, 0.5 + n / 100, 0.4, 0.9) for n in (5, 10, 20)]
    for curve, expected in ((MeasuredCurve(points, gain), {"learning"}), (MeasuredCurve([], gain), set())):
        assert names(replace(report, findings=Findings(learning_curve=curve))) == expected


def test_few_and_many_pictures_have_ticks_at_round_numbers(report):
    points = [LearningCurvePoint(n, 0.5, 0.4, 0.9) for n in (1.0, 2.0167, 4.0, 8.0, 16.0, 30.0, 60.0)]
    curve = MeasuredCurve(points, (0.02, 0.01, 0.03))
    chart = draw_run_charts(replace(report, findings=Findings(learning_curve=curve)), None, Phrases("en"))
    ticks = re.findall(r">([\d.,]+)</text>", chart["learning"])
    assert [tick for tick in ("1", "2", "5", "10", "20", "50") if tick in ticks] == "1 2 5 10 20 50".split()
    assert not any("." in tick for tick in ticks)


def test_labels_have_their_average_precision_and_curves_of_training():
    history = [{"step": step, "mean_ap": step / 10, "accuracy": 0.1, "loss": 1.0} for step in range(3)]
    report = drawn_label_report(60, history=history)
    expected = {"reliability", "precision", "mean_ap", "accuracy", "loss"}
    assert names(report, report.evaluation) == expected
    charts = draw_run_charts(report, report.evaluation, Phrases("en"))
    assert "Validation: all labels right." in charts["accuracy"]
    assert "From 0\u00a0% to 20.0\u00a0%" in charts["mean_ap"]
    order = [entry.label for entry in by_precision(report.evaluation)]
    assert re.findall(r'y="\d+">(\w+)</text>', charts["precision"]) == order
    unlabelled = label_report_of(np.full((2, 3), np.nan), np.zeros((2, 3)))
    assert names(unlabelled, unlabelled.evaluation) == set()
