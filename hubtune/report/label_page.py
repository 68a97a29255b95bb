"""The content of the page of a multi-label run."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from markupsafe import Markup

from hubtune.evaluation.label_evaluation import LabelMetrics
from hubtune.report.charts import draw_interval
from hubtune.report.gallery import Figure
from hubtune.report.label_summary import (
    describe_missed,
    describe_thresholds_from,
    describe_wrongly_given,
    summarise_labels,
)
from hubtune.report.phrases import Phrases
from hubtune.report.run_charts import by_precision, draw_run_charts
from hubtune.report.run_report import (
    RunReport,
    SuspectDecision,
    worst_label_mistakes,
    wrong_distance,
)
from hubtune.report.shared_page import MOST_SUSPECTS, SharedPage

_FIRST_CELLS, _FIGURES_PER_CELL = 3, 4  # on the first screen
_MOST_PER_CELL = 24
_MOST_NAMES = 5  # of the labels of a picture


@dataclass(frozen=True)
class ShownDecision:
    """A picture with the probability of a label, formatted."""

    figure: Figure
    probability: str


@dataclass(frozen=True)
class ShownDecisions:
    """The pictures for which a label was missed, or wrongly given; without any, ``anchor`` is empty."""

    title: str
    count: int
    anchor: str
    decisions: list[ShownDecision]


@dataclass(frozen=True)
class ShownLabel:
    """The row of a label: its figures, a bar of its recall, and what was missed and wrongly given."""

    entry: LabelMetrics
    bar: Markup
    missed: ShownDecisions
    wrongly_given: ShownDecisions


@dataclass(frozen=True)
class ShownLabels:
    """A picture with its wrong labels, as text; ``looked_for`` is the label of the heat map."""

    figure: Figure
    truth: str
    missed: str
    wrongly_given: str
    looked_for: str


class LabelPage(SharedPage):
    """The page of a multi-label model.

    Attributes:
        evaluation: the evaluation, if at least one image can be read.
    """

    by_label = True
    curve_sentence = ""

    def __init__(self, report: RunReport, phrases: Phrases, *, images: bool) -> None:
        self.evaluation = report.measured_labels
        super().__init__(report, phrases, images=images)
        self.summary = summarise_labels(report, phrases, folder=self.folder)
        self.charts = draw_run_charts(report, self.evaluation, phrases)

    @property
    def _suspect_paths(self) -> list[Path]:
        return [issue.path for issue in self._suspects]

    @property
    def _suspects(self) -> list[SuspectDecision]:
        return [*(self.report.findings.decision_issues or ())][:MOST_SUSPECTS]

    @property
    def _places_by_interest(self) -> list[int]:
        if self.evaluation is None:
            return []
        most = len(self.evaluation.answers.paths)
        return [place for place, _ in worst_label_mistakes(self.evaluation.answers, most)]

    @property
    def suspects(self) -> list[tuple[Figure, str, str]]:
        """The labels that may be missing or wrong, as text, with their pictures and probabilities."""
        assert self.gallery is not None
        missing, wrong = self.phrases.gettext("missing: %s"), self.phrases.gettext("wrong: %s")
        return [
            (
                self.gallery.figure(issue.path),
                (wrong if issue.is_given else missing) % self.phrases.short(issue.label),
                self.phrases.percent(issue.probability),
            )
            for issue in self._suspects
        ]

    @cached_property
    def mistakes(self) -> list[ShownLabels]:
        """The pictures with the most wrong labels, with where the model looked."""
        if self.evaluation is None or self.gallery is None:
            return []
        answers, labels = self.evaluation.answers, self.evaluation.labels
        shown = []
        for place, worst in worst_label_mistakes(answers):
            truth, given = answers.truth[place], answers.predicted[place]
            figure = self.gallery.figure(answers.paths[place], heat_map=True)
            shown.append(
                ShownLabels(
                    figure,
                    self._names(np.flatnonzero(truth)) or self.phrases.gettext("no label"),
                    self._names(np.flatnonzero(truth & ~given), place),
                    self._names(np.flatnonzero(given & ~truth), place),
                    self.phrases.short(labels[worst]) if figure.heat_map else "",
                )
            )
        return shown

    def _names(self, numbers: Sequence[int] | np.ndarray, place: int | None = None) -> str:
        """Join the names of labels, with their probabilities for the image at ``place``."""
        assert self.evaluation is not None
        texts = []
        for number in numbers[:_MOST_NAMES]:
            text = self.phrases.short(self.evaluation.labels[number])
            if place is not None:
                text += f" {self._probability(place, number)}"
            texts.append(text)
        if len(numbers) > _MOST_NAMES:
            texts.append("…")
        return self.phrases.gettext(", ").join(texts)

    def _probability(self, place: int, number: int) -> str:
        assert self.evaluation is not None
        value = float(self.evaluation.answers.probabilities[place, number])
        return "–" if np.isnan(value) else self.phrases.percent(value)

    @cached_property
    def _decisions_of(self) -> dict[tuple[int, bool], list[ShownDecision]]:
        """Label and whether it is true → the pictures on the page with a wrong decision, the surest first."""
        shown: dict[tuple[int, bool], list[ShownDecision]] = defaultdict(list)
        if self.evaluation is not None and self.gallery is not None:
            answers = self.evaluation.answers
            distance = wrong_distance(answers)
            places, numbers = np.nonzero(distance)
            order = np.argsort(-distance[places, numbers], kind="stable")
            for place, number in zip(places[order].tolist(), numbers[order].tolist(), strict=True):
                own = shown[number, bool(answers.truth[place, number])]
                if answers.paths[place] in self.gallery and len(own) < _MOST_PER_CELL:
                    figure = self.gallery.figure(answers.paths[place])
                    own.append(ShownDecision(figure, self._probability(place, number)))
        return shown

    @cached_property
    def labels(self) -> list[ShownLabel]:
        """The labels, the lowest average precision first, those without images last."""
        if self.evaluation is None:
            return []
        number_of = {label: number for number, label in enumerate(self.evaluation.labels)}
        return [self._label(entry, number_of[entry.label]) for entry in by_precision(self.evaluation)]

    def _label(self, entry: LabelMetrics, number: int) -> ShownLabel:
        missed = self._decisions_of.get((number, True), [])
        given = self._decisions_of.get((number, False), [])
        return ShownLabel(
            entry,
            Markup()
            if entry.recall is None or entry.interval is None
            else draw_interval(entry.recall, entry.interval),
            ShownDecisions(
                describe_missed(entry, self.phrases),
                entry.count - entry.correct,
                f"missed-{number}" if missed else "",
                missed,
            ),
            ShownDecisions(
                describe_wrongly_given(entry, self.phrases),
                entry.predicted - entry.correct,
                f"given-{number}" if given else "",
                given,
            ),
        )

    @property
    def cells(self) -> list[ShownDecisions]:
        """The wrong decisions about each label, the most frequent ones first; not those that never occur."""
        cells = [cell for row in self.labels for cell in (row.missed, row.wrongly_given) if cell.count]
        return sorted(cells, key=lambda cell: -cell.count)

    @property
    def first_pairs(self) -> list[tuple[str, ShownDecisions, list[ShownDecision]]]:
        """The most frequent wrong decisions, on the first screen, with some of their pictures."""
        return [(cell.title, cell, cell.decisions[:_FIGURES_PER_CELL]) for cell in self.cells[:_FIRST_CELLS]]

    @property
    def thresholds_sentence(self) -> str:
        """On which images the thresholds were chosen."""
        return describe_thresholds_from(self.report, self.phrases)
