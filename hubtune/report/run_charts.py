"""The charts of a run's report: reliability, training and learning curves."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hubtune.evaluation.evaluation import Evaluation
from hubtune.report.charts import (
    ChartPoint,
    ChartText,
    draw_confusion_map,
    draw_curve,
    draw_reliability,
)
from hubtune.report.phrases import Phrases
from hubtune.report.run_report import MOST_CLASSES, RunReport

_CHARTS = ("reliability", "confusion_map", "accuracy", "loss", "learning")
_LEAST_EVALUATIONS = 2  # for a curve
_MOST_POINTS = 500


def draw_run_charts(
    report: RunReport, evaluation: Evaluation | None, phrases: Phrases
) -> Mapping[str, Markup | None]:
    """Return the charts by name; ``None`` for those that there are no data for."""
    charts: dict[str, Markup | None] = dict.fromkeys(_CHARTS)
    if evaluation is not None:
        charts["reliability"] = _reliability(evaluation, phrases)
        if len(evaluation.labels) > MOST_CLASSES:
            charts["confusion_map"] = _confusion_map(evaluation, phrases)
    history = [entry for entry in report.history if _is_number(entry.get("step"))]
    for name in ("accuracy", "loss"):
        points = [ChartPoint(entry["step"], entry[name]) for entry in history if _is_number(entry.get(name))]
        if len(points) >= _LEAST_EVALUATIONS:
            # Every second, third … point of a long run; always the last one.
            points = points[: -1 : -(-len(points) // _MOST_POINTS)] + points[-1:]
            charts[name] = _training_curve(points, name, phrases)
    if report.findings.learning_curve is not None and report.findings.learning_curve.points:
        charts["learning"] = _learning_curve(report, phrases)
    return charts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _reliability(evaluation: Evaluation, phrases: Phrases) -> Markup:
    bins = evaluation.calibration.bins
    points = [ChartPoint(entry.confidence, entry.accuracy, *entry.interval) for entry in bins]
    text = ChartText(
        phrases.gettext("Reliability"),
        phrases.gettext(
            "For groups of pictures, the share that is right against the mean confidence. Below the "
            "diagonal, the model is surer than it should be."
        ),
        phrases.gettext("mean confidence, %%") % (),
        phrases.gettext("right, %%") % (),
    )
    return draw_reliability(points, text)


def _confusion_map(evaluation: Evaluation, phrases: Phrases) -> Markup:
    text = ChartText(
        phrases.gettext("Map of the mistakes"),
        phrases.gettext(
            "A dot for each pair of classes that is confused. Rows are true classes, columns are answers, in "
            "the order of the classes."
        ),
        "",
        "",
    )
    return draw_confusion_map(evaluation.confusion, text)


def _training_curve(points: list[ChartPoint], name: str, phrases: Phrases) -> Markup:
    last = points[-1].y
    if name == "accuracy":
        title = phrases.gettext("Validation accuracy")
        y, ends = phrases.gettext("right, %%") % (), (phrases.percent(points[0].y), phrases.percent(last))
    else:
        title = phrases.gettext("Validation loss")
        y, ends = phrases.gettext("log loss"), (f"{points[0].y:.3f}", f"{last:.3f}")
    description = phrases.gettext("From %(first)s to %(last)s, over the steps of training.") % {
        "first": ends[0],
        "last": ends[1],
    }
    text = ChartText(title, description, phrases.gettext("training steps"), y)
    return draw_curve(points, text, percent=name == "accuracy")


def _learning_curve(report: RunReport, phrases: Phrases) -> Markup:
    assert report.findings.learning_curve is not None
    points = [
        ChartPoint(point.images, point.accuracy, point.low, point.high)
        for point in report.findings.learning_curve.points
    ]
    text = ChartText(
        phrases.gettext("Learning curve"),
        phrases.gettext("Accuracy by training on fewer pictures: from %(first)s to %(last)s.")
        % {"first": phrases.percent(points[0].y), "last": phrases.percent(points[-1].y)},
        phrases.gettext("training pictures a class"),
        phrases.gettext("right, %%") % (),
    )
    return draw_curve(points, text, percent=True, log=min(point.x for point in points) > 0)
