"""The first screen of the report of a multi-label run: how good, how sure, what is missed, what next."""

from collections.abc import Iterator
from math import isnan

from hubtune.evaluation.label_evaluation import LabelEvaluation, LabelMetrics
from hubtune.evaluation.metrics import Metrics
from hubtune.report.phrases import Phrases, shell_word
from hubtune.report.run_charts import by_precision
from hubtune.report.run_report import RunReport
from hubtune.report.run_summary import (
    FEW_IMAGES,
    UNSURE,
    NextStep,
    Summary,
    describe_gone,
    describe_odd,
    describe_unreadable,
    recommend_prediction,
    recommend_test,
)


def summarise_labels(report: RunReport, phrases: Phrases, *, folder: str) -> Summary:
    """Return the sentences of a report; ``folder`` is the run's name in commands."""
    metrics, evaluation = report.metrics, report.measured_labels
    return Summary(
        figure=phrases.percent(metrics.selection_figure) if metrics else "",
        headline=_headline(report, metrics, phrases),
        sentences=[*_certainty(report, metrics, phrases)] if metrics else [],
        confusions=[*_mistakes(evaluation, phrases)] if evaluation else [],
        cautions=[*_cautions(report, phrases)],
        steps=[*_steps(report, phrases, shell_word(folder))],
    )


def _headline(report: RunReport, metrics: Metrics | None, phrases: Phrases) -> str:
    if metrics is None:
        if report.evaluation is None:
            return phrases.gettext("The model was not measured.")
        return phrases.gettext("The model was not measured: no picture of the list can be read.")
    images = phrases.images_of(report.list_name, metrics.count)
    if _has_precision(metrics):
        return phrases.gettext("Mean average precision (mAP) of the labels, on %s.") % images
    return phrases.gettext("Share of the pictures with every label right, of %s.") % images


def _has_precision(metrics: Metrics) -> bool:
    return metrics.mean_ap is not None and not isnan(metrics.mean_ap)


def _certainty(report: RunReport, metrics: Metrics, phrases: Phrases) -> Iterator[str]:
    right, share = round(metrics.accuracy * metrics.count), phrases.percent(metrics.accuracy)
    if not _has_precision(metrics):
        yield phrases.gettext("No picture of the list has a label, so that there is no mAP.")
    yield (
        phrases.ngettext(
            "Every label is right for %(right)s of %(count)s picture: %(share)s.",
            "Every label is right for %(right)s of %(count)s pictures: %(share)s.",
            metrics.count,
        )
        % {"right": f"{right:,}", "count": f"{metrics.count:,}", "share": share}
    )
    yield (
        phrases.gettext("The true share is %s (95 %% confidence interval).")
        % phrases.between(metrics.interval)
    )
    if metrics.largest_class is not None and metrics.interval[0] <= metrics.largest_class:
        yield (
            phrases.gettext(
                "That share is not shown to be better than guessing: always naming the most frequent set of "
                "labels would have every label right for %s of these pictures."
            )
            % phrases.percent(metrics.largest_class)
        )
    yield _describe_choice(report, phrases)


def _describe_choice(report: RunReport, phrases: Phrases) -> str:
    """Say whether the figures are optimistic."""
    if report.list_name == "train":
        return phrases.gettext(
            "The model was trained on these pictures: the figures say nothing about new ones."
        )
    if report.trained:
        return (
            phrases.ngettext(
                "%s of these pictures is in the training list: on new pictures, the figures are lower.",
                "%s of these pictures are in the training list: on new pictures, the figures are lower.",
                report.trained,
            )
            % f"{report.trained:,}"
        )
    if report.untouched:
        return phrases.gettext("Nothing was chosen on this list, so the figures are not optimistic.")
    if report.thresholds_from == "validate":
        return phrases.gettext(
            "The best model and the thresholds of the labels were chosen on this list: the figures are "
            "slightly optimistic."
        )
    return phrases.gettext("The best model was chosen on this list: the figures are slightly optimistic.")


def _mistakes(evaluation: LabelEvaluation, phrases: Phrases) -> Iterator[str]:
    if evaluation.accuracy == 1:
        yield phrases.gettext("No label was missed, and none was wrongly given.")
        return
    if (weakest := _weakest(evaluation)) is None:
        return
    assert weakest.average_precision is not None and weakest.interval is not None
    yield phrases.gettext(
        "The label that is found least well is %(label)s: average precision %(precision)s; it was given to "
        "%(right)s of the %(count)s pictures that have it (%(between)s)."
    ) % {
        "label": phrases.quoted(weakest.label),
        "precision": phrases.percent(weakest.average_precision),
        "right": f"{weakest.correct:,}",
        "count": f"{weakest.count:,}",
        "between": phrases.between(weakest.interval),
    }


def _weakest(evaluation: LabelEvaluation) -> LabelMetrics | None:
    """Return the label of the lowest average precision; ``None`` if all are equal."""
    measured = [entry for entry in by_precision(evaluation) if entry.average_precision is not None]
    if not measured or measured[0].average_precision == measured[-1].average_precision:
        return None
    return measured[0]


def describe_missed(entry: LabelMetrics, phrases: Phrases) -> str:
    """Describe how often a label was not given to images that have it."""
    return phrases.gettext("%(label)s missed: %(count)s of %(all)s") % {
        "label": phrases.quoted(entry.label),
        "count": f"{entry.count - entry.correct:,}",
        "all": f"{entry.count:,}",
    }


def describe_wrongly_given(entry: LabelMetrics, phrases: Phrases) -> str:
    """Describe how often a label was given to images that do not have it."""
    return phrases.gettext("%(label)s wrongly given: %(count)s of %(all)s times") % {
        "label": phrases.quoted(entry.label),
        "count": f"{entry.predicted - entry.correct:,}",
        "all": f"{entry.predicted:,}",
    }


def describe_thresholds_from(report: RunReport, phrases: Phrases) -> str:
    """Say on which images the thresholds of the labels were chosen."""
    match report.thresholds_from:
        case "train":
            return phrases.gettext(
                "The thresholds were chosen for a high F1 on training pictures, each scored by a head that "
                "was fitted without it."
            )
        case "validate":
            return phrases.gettext("The thresholds were chosen for a high F1 on the validation pictures.")
        case _:
            return phrases.gettext("The thresholds are 0.5, as there were no pictures to choose others on.")


def _cautions(report: RunReport, phrases: Phrases) -> Iterator[str]:
    yield from describe_gone(report, phrases)
    if issues := report.findings.decision_issues:
        yield (
            phrases.ngettext(
                "%s label may be missing or wrong.", "%s labels may be missing or wrong.", len(issues)
            )
            % f"{len(issues):,}"
        )
    untrained = [label for label, lists in report.counts.items() if not lists.get("train")]
    if untrained:
        yield phrases.gettext("Labels without a training picture cannot be learned: %s.") % phrases.names(
            untrained
        )
    if (evaluation := report.measured_labels) is not None:
        yield from _cautions_of_figures(evaluation, phrases)
        yield from describe_odd(report, evaluation.answers.similarity, phrases)
    yield from describe_unreadable(report, phrases)


def _cautions_of_figures(evaluation: LabelEvaluation, phrases: Phrases) -> Iterator[str]:
    low, high = evaluation.interval
    if (half := (high - low) / 2) > UNSURE:
        yield phrases.ngettext(
            "With %(count)s picture, the share with every label right is known to about ±%(points)s "
            "percentage points.",
            "With %(count)s pictures, the share with every label right is known to about ±%(points)s "
            "percentage points. Four times as many would halve that.",
            evaluation.count,
        ) % {"count": f"{evaluation.count:,}", "points": f"{100 * half:.0f}"}
    few = [entry.label for entry in evaluation.per_label if 0 < entry.count < FEW_IMAGES]
    if few:
        yield phrases.gettext(
            "Fewer than %(count)s pictures with a label say little about it, and make mAP uncertain: "
            "%(names)s."
        ) % {"count": FEW_IMAGES, "names": phrases.names(few)}
    missing = [entry.label for entry in evaluation.per_label if not entry.count]
    if missing:
        yield phrases.gettext("Not measured, as no picture of the list has them: %s.") % phrases.names(
            missing
        )
    calibration = evaluation.calibration
    error, limit = calibration.ece, calibration.ece_high
    if error is not None and limit is not None and error > limit:
        too_high = phrases.gettext(
            "The probabilities are higher than they should be: their mean is %(mean)s, and the label is true "
            "in %(share)s of the decisions."
        )
        too_low = phrases.gettext(
            "The probabilities are lower than they should be: their mean is %(mean)s, and the label is true "
            "in %(share)s of the decisions."
        )
        mean, share = phrases.percent(evaluation.mean_probability), phrases.percent(evaluation.label_share)
        if mean != share:
            text = too_high if evaluation.mean_probability > evaluation.label_share else too_low
            yield text % {"mean": mean, "share": share}
        else:
            yield phrases.gettext(
                "The probabilities are right on average, and not where they are high or low: see the chart."
            )


def _steps(report: RunReport, phrases: Phrases, folder: str) -> Iterator[NextStep]:
    if report.findings.decision_issues:
        yield NextStep(
            phrases.gettext("Look at the labels that may be missing or wrong, and correct those that are.")
        )
    yield from recommend_test(report, phrases)
    weakest = None if report.measured_labels is None else _weakest(report.measured_labels)
    if weakest is not None:
        yield NextStep(
            phrases.gettext("Add training pictures with %s first: it is found least well.")
            % phrases.quoted(weakest.label)
        )
    yield recommend_prediction(phrases, folder)
