"""Render the report of a run as one HTML file that needs nothing else."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from hubtune.evaluation.evaluation import ClassMetrics
from hubtune.report.charts import draw_interval
from hubtune.report.gallery import Figure, order_by_interest
from hubtune.report.html_page import render_page
from hubtune.report.label_page import LabelPage
from hubtune.report.phrases import Phrases
from hubtune.report.run_charts import draw_run_charts
from hubtune.report.run_report import MOST_CLASSES, RunReport, SuspectLabel, worst_mistakes
from hubtune.report.run_summary import describe_curve, describe_pair, summarise
from hubtune.report.shared_page import MOST_SUSPECTS, SharedPage

_FIRST_PAIRS, _FIGURES_PER_PAIR = 3, 4  # on the first screen
_MOST_PAIRS, _MOST_PAIRS_WITH_MATRIX = 50, 10
_LEVELS = 6  # shades of the confusion matrix


@dataclass(frozen=True)
class ShownAnswer:
    """A picture with what the model says about it; probabilities are formatted."""

    figure: Figure
    truth: str
    predicted: str
    confidence: str
    probability: str


@dataclass(frozen=True)
class ShownCell:
    """A cell of the confusion matrix: its row and column are classes, its anchor leads to its pictures.

    ``level`` is its shade, 0 to 6. Without pictures on the page, ``anchor`` is empty.
    """

    truth: str
    predicted: str
    count: int
    level: int
    right: bool
    anchor: str
    answers: list[ShownAnswer]


def render_run_report(report: RunReport, *, language: str, images: bool) -> str:
    """Return the page of a report: HTML without code, which makes no request.

    Args:
        report: what it shows.
        language: ``en`` or ``zh``.
        images: whether it shows pictures, names of files, and paths; without, it may be passed on.
    """
    kind = LabelPage if report.multi_label else _ClassPage
    page = kind(report, Phrases(language), images=images)
    return render_page("run", language, page=page, report=report, phrases=page.phrases)


class _ClassPage(SharedPage):
    """The page of a model of one class a picture.

    Attributes:
        evaluation: the evaluation, if at least one image can be read.
    """

    by_label = False

    def __init__(self, report: RunReport, phrases: Phrases, *, images: bool) -> None:
        self.evaluation = report.measured
        super().__init__(report, phrases, images=images)
        self.summary = summarise(report, phrases, folder=self.folder)
        self.charts = draw_run_charts(report, self.evaluation, phrases)

    @property
    def _suspect_paths(self) -> list[Path]:
        return [issue.path for issue in self._suspects]

    @property
    def _places_by_interest(self) -> list[int]:
        return [] if self.evaluation is None else order_by_interest(self.evaluation.answers)

    @property
    def curve_sentence(self) -> str:
        """What more training images would bring; empty if that was not measured."""
        curve = self.report.findings.learning_curve
        return "" if curve is None else describe_curve(curve, self.phrases)

    @property
    def _suspects(self) -> list[SuspectLabel]:
        return [*(self.report.findings.label_issues or ())][:MOST_SUSPECTS]

    @property
    def suspects(self) -> list[tuple[Figure, SuspectLabel]]:
        """The labels that may be wrong, with their pictures."""
        assert self.gallery is not None
        return [(self.gallery.figure(issue.path), issue) for issue in self._suspects]

    @property
    def mistakes(self) -> list[ShownAnswer]:
        """The worst mistakes, with where the model looked."""
        if self.evaluation is None or self.gallery is None:
            return []
        return [self._answer(place, heat_map=True) for place in worst_mistakes(self.evaluation.answers)]

    def _answer(self, place: int, *, heat_map: bool = False) -> ShownAnswer:
        assert self.evaluation is not None and self.gallery is not None
        answers, labels = self.evaluation.answers, self.evaluation.labels
        return ShownAnswer(
            self.gallery.figure(answers.paths[place], heat_map=heat_map),
            labels[answers.truth[place]],
            labels[answers.predicted[place]],
            self.phrases.percent(float(answers.confidence[place])),
            self.phrases.percent(float(answers.probability[place])),
        )

    @cached_property
    def _answers_of(self) -> dict[tuple[int, int], list[ShownAnswer]]:
        """Cell → its pictures on the page: the surest mistakes first, the unsure right answers first."""
        shown: dict[tuple[int, int], list[ShownAnswer]] = defaultdict(list)
        if self.evaluation is not None and self.gallery is not None:
            answers = self.evaluation.answers
            for place in order_by_interest(answers):
                if answers.paths[place] in self.gallery:
                    shown[int(answers.truth[place]), int(answers.predicted[place])].append(
                        self._answer(place)
                    )
        return shown

    def _cell(self, row: int, column: int) -> ShownCell:
        assert self.evaluation is not None
        labels, confusion = self.evaluation.labels, self.evaluation.confusion
        count, total = int(confusion[row, column]), int(confusion[row].sum())
        answers = self._answers_of.get((row, column), [])
        return ShownCell(
            labels[row],
            labels[column],
            count,
            -(-_LEVELS * count // total) if count else 0,
            row == column,
            f"cell-{row}-{column}" if answers else "",
            answers,
        )

    @property
    def matrix(self) -> list[tuple[str, list[ShownCell]]]:
        """The rows of the confusion matrix; empty with too many classes."""
        if self.evaluation is None or len(self.evaluation.labels) > MOST_CLASSES:
            return []
        numbers = range(len(self.evaluation.labels))
        return [
            (self.evaluation.labels[row], [self._cell(row, other) for other in numbers]) for row in numbers
        ]

    @property
    def cells(self) -> list[ShownCell]:
        """The cells with pictures: mistakes first, the most frequent ones before."""
        cells = [self._cell(*numbers) for numbers in sorted(self._answers_of)]
        return sorted(cells, key=lambda cell: (cell.right, -cell.count))

    @cached_property
    def pairs(self) -> list[ShownCell]:
        """The pairs that are confused most often."""
        if self.evaluation is None:
            return []
        number_of = {label: number for number, label in enumerate(self.evaluation.labels)}
        most = _MOST_PAIRS_WITH_MATRIX if len(number_of) <= MOST_CLASSES else _MOST_PAIRS
        return [
            self._cell(number_of[pair.label], number_of[pair.predicted])
            for pair in self.evaluation.most_confused[:most]
        ]

    @property
    def first_pairs(self) -> list[tuple[str, ShownCell, list[ShownAnswer]]]:
        """The pairs on the first screen: a sentence, the cell and some of its pictures."""
        assert self.evaluation is not None
        described = [
            (describe_pair(pair, self.evaluation, self.phrases), cell)
            for pair, cell in zip(self.evaluation.most_confused, self.pairs[:_FIRST_PAIRS], strict=False)
        ]
        return [(text, cell, cell.answers[:_FIGURES_PER_PAIR]) for text, cell in described]

    @property
    def classes(self) -> list[tuple[ClassMetrics, Markup]]:
        """The metrics of each class with a bar of the recall, the worst first, those without images last."""
        if self.evaluation is None:
            return []
        entries = sorted(
            self.evaluation.per_class,
            key=lambda entry: (entry.recall is None, entry.recall or 0.0, -entry.count),
        )
        return [
            (
                entry,
                Markup()
                if entry.recall is None or entry.interval is None
                else draw_interval(entry.recall, entry.interval),
            )
            for entry in entries
        ]
