"""The first screen of a report: how good, how sure, what is confused, what to be careful with, what next."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hubtune.evaluation.evaluation import ClassMetrics, ConfusedPair, Evaluation
from hubtune.evaluation.metrics import Metrics
from hubtune.report.phrases import Phrases, shell_word
from hubtune.report.run_report import MeasuredCurve, RunReport

UNSURE = 0.05
"""Half of an interval's width, above which more images are recommended."""

FEW_IMAGES = 10
"""Images of a class or label, below which its figures say little."""

_WORTHWHILE = 0.005  # gain of accuracy


@dataclass(frozen=True)
class NextStep:
    """What to do next, and the command for it, if there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Summary:
    """The sentences of the first screen.

    Attributes:
        figure: the accuracy; empty if it was not measured.
        headline: what the accuracy counts.
        sentences: how sure the accuracy is.
        confusions: what is confused with what.
        cautions: what to be careful with.
        steps: what to do next.
    """

    figure: str
    headline: str
    sentences: list[str]
    confusions: list[str]
    cautions: list[str]
    steps: list[NextStep]


def summarise(report: RunReport, phrases: Phrases, *, folder: str) -> Summary:
    """Return the sentences of a report; ``folder`` is the run's name in commands."""
    metrics, evaluation = report.metrics, report.measured
    return Summary(
        figure=phrases.percent(metrics.accuracy) if metrics else "",
        headline=_headline(report, phrases),
        sentences=[*_certainty(report, metrics, phrases)] if metrics else [],
        confusions=[*_confusions(evaluation, phrases)] if evaluation else [],
        cautions=[*_cautions(report, phrases)],
        steps=[*_steps(report, phrases, shell_word(folder))],
    )


def _headline(report: RunReport, phrases: Phrases) -> str:
    metrics = report.metrics
    if metrics is None:
        if report.evaluation is None:
            return phrases.gettext("The accuracy was not measured.")
        return phrases.gettext("The accuracy was not measured: no picture of the list can be read.")
    right, count = round(metrics.accuracy * metrics.count), metrics.count
    images = phrases.images_of(report.list_name, count)
    if right == count:
        return phrases.ngettext("%s: it is right.", "%s: all of them are right.", count) % images
    if not right:
        return phrases.ngettext("%s: it is wrong.", "%s: all of them are wrong.", count) % images
    text = phrases.ngettext("%(right)s of %(images)s is right.", "%(right)s of %(images)s are right.", right)
    return text % {"right": f"{right:,}", "images": images}


def _certainty(report: RunReport, metrics: Metrics, phrases: Phrases) -> Iterator[str]:
    between = phrases.between(metrics.interval)
    yield phrases.gettext("The true accuracy is %s (95 %% confidence interval).") % between
    if report.list_name == "train":
        yield phrases.gettext(
            "The model was trained on these pictures: the figure says nothing about new ones."
        )
    elif report.trained:
        yield (
            phrases.ngettext(
                "%s of these pictures is in the training list: on new pictures, the accuracy is lower.",
                "%s of these pictures are in the training list: on new pictures, the accuracy is lower.",
                report.trained,
            )
            % f"{report.trained:,}"
        )
    elif report.untouched:
        yield phrases.gettext("Nothing was chosen on this list, so the figure is not optimistic.")
    else:
        yield phrases.gettext("The best model was chosen on this list: the figure is slightly optimistic.")
    present = [entry for entry in report.measured.per_class if entry.count] if report.measured else []
    if len(present) == 1:
        label = phrases.quoted(present[0].label)
        yield phrases.gettext("All these pictures are of the class %s; others were not measured.") % label
    elif metrics.largest_class is not None and metrics.interval[0] <= metrics.largest_class:
        share = phrases.percent(metrics.largest_class)
        yield (
            phrases.gettext(
                "This is not shown to be better than guessing: always naming the most frequent class would "
                "be right for %s of these pictures."
            )
            % share
        )


def _confusions(evaluation: Evaluation, phrases: Phrases) -> Iterator[str]:
    if not evaluation.most_confused:
        yield phrases.gettext("No picture was taken for another class.")
        return
    if attractor := evaluation.attractor:
        yield phrases.gettext(
            "Other classes are mostly taken for %(label)s: %(count)s of their %(errors)s mistakes."
        ) % {
            "label": phrases.quoted(attractor.label),
            "count": f"{attractor.count:,}",
            "errors": f"{attractor.errors:,}",
        }
    present = [entry for entry in evaluation.per_class if entry.recall is not None]
    weakest = min(present, key=lambda entry: entry.recall or 0.0)
    if len(present) > 1 and weakest.recall != max(entry.recall or 0.0 for entry in present):
        yield _describe_weakest(weakest, phrases)


def _describe_weakest(entry: ClassMetrics, phrases: Phrases) -> str:
    assert entry.interval is not None
    return phrases.gettext(
        "The class that is recognised least often is %(label)s: %(right)s of %(count)s (%(between)s)."
    ) % {
        "label": phrases.quoted(entry.label),
        "right": f"{entry.correct:,}",
        "count": f"{entry.count:,}",
        "between": phrases.between(entry.interval),
    }


def describe_pair(pair: ConfusedPair, evaluation: Evaluation, phrases: Phrases) -> str:
    """Describe how often a class was taken for another."""
    count = evaluation.per_class[evaluation.labels.index(pair.label)].count
    return phrases.gettext("%(label)s taken for %(other)s: %(count)s of %(all)s") % {
        "label": phrases.quoted(pair.label),
        "other": phrases.quoted(pair.predicted),
        "count": f"{pair.count:,}",
        "all": f"{count:,}",
    }


def _cautions(report: RunReport, phrases: Phrases) -> Iterator[str]:
    yield from describe_gone(report, phrases)
    if issues := report.findings.label_issues:
        yield (
            phrases.ngettext("%s label may be wrong.", "%s labels may be wrong.", len(issues))
            % f"{len(issues):,}"
        )
    untrained = [label for label, lists in report.counts.items() if not lists.get("train")]
    if untrained:
        yield phrases.gettext("Classes without a training picture cannot be recognised: %s.") % phrases.names(
            untrained
        )
    if report.measured is not None:
        yield from _cautions_of_figures(report, report.measured, phrases)
    yield from describe_unreadable(report, phrases)


def describe_gone(report: RunReport, phrases: Phrases) -> Iterator[str]:
    """Say that the figures are those of the end of the run, if they are."""
    if report.metrics is not None and report.metrics is report.earlier:
        yield phrases.gettext(
            "The pictures of the list cannot be read any more: this figure is from the end of the run."
        )


def describe_unreadable(report: RunReport, phrases: Phrases) -> Iterator[str]:
    """Say how many images could not be read, if there are any."""
    unreadable = report.evaluation.answers.unreadable if report.evaluation is not None else 0
    if count := max(len(report.skipped), unreadable):
        yield (
            phrases.ngettext(
                "%s picture could not be read and was left out.",
                "%s pictures could not be read and were left out.",
                count,
            )
            % f"{count:,}"
        )


def describe_odd(report: RunReport, similarity: np.ndarray | None, phrases: Phrases) -> Iterator[str]:
    """Say how many images are unlike the training images, given their similarities, if there are any."""
    threshold = report.findings.similarity_threshold
    if threshold is not None and similarity is not None and (odd := int((similarity < threshold).sum())):
        yield (
            phrases.ngettext(
                "%s picture is unlike the training pictures.",
                "%s pictures are unlike the training pictures.",
                odd,
            )
            % f"{odd:,}"
        )


def _cautions_of_figures(report: RunReport, evaluation: Evaluation, phrases: Phrases) -> Iterator[str]:
    low, high = evaluation.interval
    if (half := (high - low) / 2) > UNSURE:
        yield phrases.ngettext(
            "With %(count)s picture, the accuracy is known to about ±%(points)s percentage points.",
            "With %(count)s pictures, the accuracy is known to about ±%(points)s percentage points. Four "
            "times as many would halve that.",
            evaluation.count,
        ) % {"count": f"{evaluation.count:,}", "points": f"{100 * half:.0f}"}
    few = [entry.label for entry in evaluation.per_class if 0 < entry.count < FEW_IMAGES]
    if few:
        yield phrases.gettext("Fewer than %(count)s pictures of a class say little about it: %(names)s.") % {
            "count": FEW_IMAGES,
            "names": phrases.names(few),
        }
    missing = [entry.label for entry in evaluation.per_class if not entry.count]
    if missing:
        yield phrases.gettext("Not measured, as the list has no picture of them: %s.") % phrases.names(
            missing
        )
    if not low <= evaluation.mean_confidence <= high:
        too_sure = phrases.gettext(
            "The model is surer than it should be: its mean confidence is %(mean)s, and %(right)s are right."
        )
        not_sure = phrases.gettext(
            "The model is less sure than it could be: its mean confidence is %(mean)s, and %(right)s are "
            "right."
        )
        text = too_sure if evaluation.mean_confidence > high else not_sure
        mean, right = phrases.percent(evaluation.mean_confidence), phrases.percent(evaluation.accuracy)
        yield text % {"mean": mean, "right": right}
    yield from describe_odd(report, evaluation.answers.similarity, phrases)


def _steps(report: RunReport, phrases: Phrases, folder: str) -> Iterator[NextStep]:
    if report.findings.label_issues:
        yield NextStep(phrases.gettext("Look at the labels that may be wrong, and correct those that are."))
    yield from recommend_test(report, phrases)
    confused = report.measured.most_confused if report.measured is not None else []
    if confused and confused[0].count > 1:
        yield NextStep(
            phrases.gettext(
                "Add training pictures of %(label)s and %(other)s first: they are confused most often."
            )
            % {"label": phrases.quoted(confused[0].label), "other": phrases.quoted(confused[0].predicted)}
        )
    if report.findings.learning_curve is not None:
        yield NextStep(describe_curve(report.findings.learning_curve, phrases))
    yield recommend_prediction(phrases, folder)


def recommend_test(report: RunReport, phrases: Phrases) -> Iterator[NextStep]:
    """Recommend a test list, where the figures are not those of one."""
    if report.list_name == "train" or report.trained or not report.untouched or report.metrics is None:
        yield NextStep(
            phrases.gettext("Put pictures aside for a test, on which nothing is chosen:"),
            "hubtune split PICTURES --val 20 --test 20",
        )


def recommend_prediction(phrases: Phrases, folder: str) -> NextStep:
    """Recommend to predict images by the run, given its name in commands, escaped for a shell."""
    return NextStep(phrases.gettext("Predict new pictures:"), f"hubtune predict PICTURES --model {folder}")


def describe_curve(curve: MeasuredCurve, phrases: Phrases) -> str:
    """Say what more training images would bring, and which classes need them most."""
    gain, low, high = (f"{100 * value:.1f}" for value in curve.gain)
    if curve.gain[0] >= _WORTHWHILE:
        text = phrases.gettext(
            "50 more training pictures of each class would raise the accuracy by about %(gain)s points "
            "(%(low)s to %(high)s)."
        )
    else:
        text = phrases.gettext(
            "50 more training pictures of each class would bring little: about %(gain)s points (%(low)s to "
            "%(high)s)."
        )
    text %= {"gain": gain, "low": low, "high": high}
    if not curve.weakest:
        return text
    weakest = phrases.gettext("Most in need of them: %s.") % phrases.gettext(", ").join(
        map(phrases.quoted, curve.weakest)
    )
    return phrases.sentences(text, weakest)
