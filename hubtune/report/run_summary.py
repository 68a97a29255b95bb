"""The first screen of a report: how good, how sure, what is confused, what to be careful with, what next."""

from collections.abc import Iterator
from dataclasses import dataclass

from hubtune.evaluation.evaluation import ClassMetrics, Evaluation
from hubtune.report.phrases import Phrases, shell_word
from hubtune.report.run_report import RunReport

_UNSURE = 0.05  # half of an interval's width, above which more pictures are recommended
_FEW_IMAGES = 10  # of a class: its figures say little
_MOST_PAIRS = 3


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
    evaluation = report.evaluation
    measured = evaluation if evaluation is not None and evaluation.count else None
    return Summary(
        figure=phrases.percent(measured.accuracy) if measured else "",
        headline=_headline(report, phrases),
        sentences=[*_certainty(report, measured, phrases)] if measured else [],
        confusions=[*_confusions(measured, phrases)] if measured else [],
        cautions=[*_cautions(report, measured, phrases)],
        steps=[*_steps(report, measured, phrases, shell_word(folder))],
    )


def _headline(report: RunReport, phrases: Phrases) -> str:
    evaluation = report.evaluation
    if evaluation is None:
        return phrases.gettext("The accuracy was not measured: the run has no validation or test list.")
    if not evaluation.count:
        return phrases.gettext("The accuracy was not measured: no picture of the list can be read.")
    right, count = int(evaluation.answers.correct.sum()), evaluation.count
    images = phrases.images_of(report.list_name, count)
    if right == count:
        return phrases.ngettext("%s: it is right.", "%s: all of them are right.", count) % images
    if not right:
        return phrases.ngettext("%s: it is wrong.", "%s: all of them are wrong.", count) % images
    text = phrases.ngettext("%(right)s of %(images)s is right.", "%(right)s of %(images)s are right.", right)
    return text % {"right": f"{right:,}", "images": images}


def _certainty(report: RunReport, evaluation: Evaluation, phrases: Phrases) -> Iterator[str]:
    between = phrases.between(evaluation.interval)
    yield phrases.gettext("The true accuracy is %s (95 %% confidence interval).") % between
    if report.list_name == "train":
        yield phrases.gettext(
            "The model was trained on these pictures: the figure says nothing about new ones."
        )
    elif report.untouched:
        yield phrases.gettext("Nothing was chosen on this list, so the figure is not optimistic.")
    else:
        yield phrases.gettext("The best model was chosen on this list: the figure is slightly optimistic.")
    present = [entry for entry in evaluation.per_class if entry.count]
    if len(present) == 1:
        label = phrases.quoted(present[0].label)
        yield phrases.gettext("All these pictures are of the class %s; others were not measured.") % label
    elif evaluation.largest_class is not None and evaluation.interval[0] <= evaluation.largest_class:
        share = phrases.percent(evaluation.largest_class)
        yield (
            phrases.gettext(
                "This is not shown to be better than guessing: always naming the most frequent class would be "
                "right for %s of these pictures."
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


def describe_pairs(evaluation: Evaluation, phrases: Phrases) -> list[tuple[str, int, int]]:
    """Return the most confused pairs: a sentence, and the numbers of the true and the predicted class."""
    number_of = {label: number for number, label in enumerate(evaluation.labels)}
    counts = {entry.label: entry.count for entry in evaluation.per_class}
    return [
        (
            phrases.gettext("%(label)s taken for %(other)s: %(count)s of %(all)s")
            % {
                "label": phrases.quoted(pair.label),
                "other": phrases.quoted(pair.predicted),
                "count": f"{pair.count:,}",
                "all": f"{counts[pair.label]:,}",
            },
            number_of[pair.label],
            number_of[pair.predicted],
        )
        for pair in evaluation.most_confused[:_MOST_PAIRS]
    ]


def _cautions(report: RunReport, evaluation: Evaluation | None, phrases: Phrases) -> Iterator[str]:
    issues = report.findings.label_issues
    if issues:
        yield (
            phrases.ngettext("%s label is probably wrong.", "%s labels are probably wrong.", len(issues))
            % f"{len(issues):,}"
        )
    untrained = [label for label, lists in report.counts.items() if not lists.get("train")]
    if untrained:
        yield phrases.gettext("Classes without a training picture cannot be recognised: %s.") % phrases.names(
            untrained
        )
    if evaluation is not None:
        yield from _cautions_of_figures(report, evaluation, phrases)
    if report.skipped:
        count = len(report.skipped)
        yield (
            phrases.ngettext(
                "%s picture could not be read and was left out.",
                "%s pictures could not be read and were left out.",
                count,
            )
            % f"{count:,}"
        )


def _cautions_of_figures(report: RunReport, evaluation: Evaluation, phrases: Phrases) -> Iterator[str]:
    low, high = evaluation.interval
    if (half := (high - low) / 2) > _UNSURE:
        yield phrases.ngettext(
            "With %(count)s picture, the accuracy is known to about ±%(points)s percentage points.",
            "With %(count)s pictures, the accuracy is known to about ±%(points)s percentage points. Four "
            "times as many would halve that.",
            evaluation.count,
        ) % {"count": f"{evaluation.count:,}", "points": f"{100 * half:.0f}"}
    few = [entry.label for entry in evaluation.per_class if 0 < entry.count < _FEW_IMAGES]
    if few:
        yield phrases.gettext("Fewer than %(count)s pictures of a class say little about it: %(names)s.") % {
            "count": _FEW_IMAGES,
            "names": phrases.names(few),
        }
    missing = [entry.label for entry in evaluation.per_class if not entry.count]
    if missing:
        yield phrases.gettext("Not measured, as the list has no picture of them: %s.") % phrases.names(
            missing
        )
    if not low <= evaluation.mean_confidence <= high:
        too_sure = phrases.gettext("The model is surer than it should be: on average %(mean)s.")
        not_sure = phrases.gettext("The model is less sure than it could be: on average %(mean)s.")
        text = too_sure if evaluation.mean_confidence > high else not_sure
        yield text % {"mean": phrases.percent(evaluation.mean_confidence)}
    threshold, similarity = report.findings.similarity_threshold, evaluation.answers.similarity
    if threshold is not None and similarity is not None and (odd := int((similarity < threshold).sum())):
        yield (
            phrases.ngettext(
                "%s picture is unlike the training pictures.",
                "%s pictures are unlike the training pictures.",
                odd,
            )
            % f"{odd:,}"
        )


def _steps(
    report: RunReport, evaluation: Evaluation | None, phrases: Phrases, folder: str
) -> Iterator[NextStep]:
    if report.findings.label_issues:
        yield NextStep(phrases.gettext("Look at the labels that are probably wrong, and correct them."))
    if evaluation is None or not report.untouched:
        yield NextStep(
            phrases.gettext("Put pictures aside for a test, on which nothing is chosen:"),
            "hubtune split PICTURES --val 20 --test 20",
        )
    if evaluation is not None and evaluation.most_confused and evaluation.most_confused[0].count > 1:
        pair = evaluation.most_confused[0]
        yield NextStep(
            phrases.gettext("Add training pictures of %s first: they are confused most often.")
            % phrases.names([pair.label, pair.predicted])
        )
    if curve := report.findings.learning_curve:
        yield NextStep(curve.sentence)
    yield NextStep(phrases.gettext("Predict new pictures:"), f"hubtune predict PICTURES --model {folder}")
