"""The charts of a run's report: reliability, training and learning curves."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hubtune.evaluation.calibration import Calibration
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation, LabelMetrics
from hubtune.report.charts import (
    ChartBar,
    ChartPoint,
    ChartText,
    draw_bars,
    draw_confusion_map,
    draw_curve,
    draw_reliability,
)
from hubtune.report.phrases import Phrases
from hubtune.report.run_report import MOST_CLASSES, RunReport

_CHARTS = ("reliability", "confusion_map", "precision", "mean_ap", "accuracy", "loss", "learning")
_LEAST_EVALUATIONS = 2  # for a curve
_MOST_POINTS = 500


def draw_run_charts(
    report: RunReport, evaluation: Evaluation | LabelEvaluation | None, phrases: Phrases
) -> Mapping[str, Markup | None]:
    """Return the charts by name; ``None`` for those that there are no data for."""
    charts: dict[str, Markup | None] = dict.fromkeys(_CHARTS)
    if isinstance(evaluation, LabelEvaluation):
        charts["reliability"] = _label_reliability(evaluation, phrases)
        charts["precision"] = _precision_bars(evaluation, phrases)
    elif evaluation is not None:
        charts["reliability"] = _reliability(evaluation, phrases)
        if len(evaluation.labels) > MOST_CLASSES:
            charts["confusion_map"] = _confusion_map(evaluation, phrases)
    history = [entry for entry in report.history if _is_number(entry.get("step"))]
    for name in ("mean_ap", "accuracy", "loss"):
        points = [ChartPoint(entry["step"], entry[name]) for entry in history if _is_number(entry.get(name))]
        if len(points) >= _LEAST_EVALUATIONS:
            # Every second, third … point of a long run; always the last one.
            points = points[: -1 : -(-len(points) // _MOST_POINTS)] + points[-1:]
            title = training_title(name, phrases, multi_label=report.multi_label)
            charts[name] = _training_curve(points, name, title, phrases)
    if report.findings.learning_curve is not None and report.findings.learning_curve.points:
        charts["learning"] = _learning_curve(report, phrases)
    return charts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _points(calibration: Calibration) -> list[ChartPoint]:
    return [ChartPoint(entry.confidence, entry.accuracy, *entry.interval) for entry in calibration.bins]


def _reliability(evaluation: Evaluation, phrases: Phrases) -> Markup:
    text = ChartText(
        phrases.gettext("Reliability"),
        phrases.gettext(
            "For groups of pictures, the share that is right against the mean confidence. Below the "
            "diagonal, the model is surer than it should be."
        ),
        phrases.gettext("mean confidence, %%") % (),
        phrases.gettext("right, %%") % (),
    )
    return draw_reliability(_points(evaluation.calibration), text)


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


def _label_reliability(evaluation: LabelEvaluation, phrases: Phrases) -> Markup | None:
    if not evaluation.calibration.bins:
        return None
    text = ChartText(
        phrases.gettext("Reliability"),
        phrases.gettext(
            "For groups of decisions about a label, the share for which it is true against the mean "
            "probability. Below the diagonal, probabilities are higher than they should be."
        ),
        phrases.gettext("mean probability, %%") % (),
        phrases.gettext("label is true, %%") % (),
    )
    return draw_reliability(_points(evaluation.calibration), text)


def _precision_bars(evaluation: LabelEvaluation, phrases: Phrases) -> Markup | None:
    """The average precision of the labels, the lowest first; of many labels, the lowest ones."""
    bars = [
        ChartBar(
            phrases.short(entry.label),
            entry.average_precision,
            phrases.percent(entry.average_precision),
            entry.count / evaluation.count,
        )
        for entry in by_precision(evaluation)[:MOST_CLASSES]
        if entry.average_precision is not None
    ]
    text = ChartText(
        phrases.gettext("Average precision of the labels"),
        phrases.gettext(
            "The lowest first. The mark is the share of the pictures that have the label, which a random "
            "order would reach."
        ),
        "",
        "",
    )
    return draw_bars(bars, text) if bars else None


def by_precision(evaluation: LabelEvaluation) -> list[LabelMetrics]:
    """Return the metrics of the labels, the lowest average precision first, labels without images last."""
    return sorted(
        evaluation.per_label,
        key=lambda entry: (entry.average_precision is None, entry.average_precision or 0.0, -entry.count),
    )


def training_title(name: str, phrases: Phrases, *, multi_label: bool) -> str:
    """Return the title of the curve of a figure over training: ``mean_ap``, ``accuracy`` or ``loss``."""
    if name == "mean_ap":
        return phrases.gettext("Validation mAP")
    if name == "accuracy" and multi_label:
        return phrases.gettext("Validation: all labels right")
    return (
        phrases.gettext("Validation accuracy") if name == "accuracy" else phrases.gettext("Validation loss")
    )


def _training_curve(points: list[ChartPoint], name: str, title: str, phrases: Phrases) -> Markup:
    last = points[-1].y
    if name == "loss":
        y, ends = phrases.gettext("log loss"), (f"{points[0].y:.3f}", f"{last:.3f}")
    else:
        y = phrases.gettext("mAP, %%") % () if name == "mean_ap" else phrases.gettext("right, %%") % ()
        ends = phrases.percent(points[0].y), phrases.percent(last)
    description = phrases.gettext("From %(first)s to %(last)s, over the steps of training.") % {
        "first": ends[0],
        "last": ends[1],
    }
    text = ChartText(title, description, phrases.gettext("training steps"), y)
    return draw_curve(points, text, percent=name != "loss")


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
