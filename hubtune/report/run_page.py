"""Render the report of a run as one HTML file that needs nothing else."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from markupsafe import Markup

from hubtune.evaluation.evaluation import ClassMetrics
from hubtune.report.charts import draw_interval
from hubtune.report.gallery import Figure, Gallery, order_by_interest
from hubtune.report.html_page import render_page
from hubtune.report.phrases import Phrases, shell_word
from hubtune.report.run_charts import draw_run_charts
from hubtune.report.run_report import MOST_CLASSES, RunReport, SuspectLabel, worst_mistakes
from hubtune.report.run_summary import describe_curve, describe_pair, summarise

_MOST_SUSPECTS, _MOST_ODD = 60, 24
_FIRST_PAIRS, _FIGURES_PER_PAIR = 3, 4  # on the first screen
_MOST_PAIRS, _MOST_PAIRS_WITH_MATRIX = 50, 10
_LEVELS = 6  # shades of the confusion matrix
_PLACEHOLDER = "RUN"  # for the run folder, on a page without paths


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
    page = _RunPage(report, Phrases(language), images=images)
    return render_page("run", language, page=page, report=report, phrases=page.phrases)


class _RunPage:
    """The content of the page, as the template asks for it.

    Attributes:
        evaluation: the evaluation, if at least one image can be read.
        gallery: the pictures; ``None`` for a page without.
        audit_command: examines all labels.
    """

    most_classes = MOST_CLASSES
    most_skipped = 200

    def __init__(self, report: RunReport, phrases: Phrases, *, images: bool) -> None:
        self.report, self.phrases = report, phrases
        self.evaluation = report.measured
        self.gallery = Gallery(self._paths(), report.findings.heat_maps) if images else None
        folder = _PLACEHOLDER if self.gallery is None else report.folder
        # Both may name files.
        self.remarks = [] if self.gallery is None else report.remarks
        self.skipped = [] if self.gallery is None else report.skipped
        self.summary = summarise(report, phrases, folder=folder)
        self.audit_command = f"hubtune audit {shell_word(folder)}"
        self.charts = draw_run_charts(report, self.evaluation, phrases)

    def _paths(self) -> Iterator[str]:
        """The pictures of the page, the most important first."""
        yield from (str(issue.path) for issue in self._suspects)
        if self.evaluation is not None:
            paths = self.evaluation.answers.paths
            yield from (paths[place] for place in self._odd_places)
            yield from (paths[place] for place in order_by_interest(self.evaluation.answers))

    @property
    def curve_sentence(self) -> str:
        """What more training images would bring; empty if that was not measured."""
        curve = self.report.findings.learning_curve
        return "" if curve is None else describe_curve(curve, self.phrases)

    @property
    def _suspects(self) -> list[SuspectLabel]:
        return [*(self.report.findings.label_issues or ())][:_MOST_SUSPECTS]

    @cached_property
    def _odd_places(self) -> list[int]:
        """The places of the images that are least like the training images, the least similar first."""
        if self.evaluation is None or self.evaluation.answers.similarity is None:
            return []
        similarity, threshold = self.evaluation.answers.similarity, self.report.findings.similarity_threshold
        order = np.argsort(similarity, kind="stable")[:_MOST_ODD]
        return [int(place) for place in order if threshold is not None and similarity[place] < threshold]

    @property
    def suspects(self) -> list[tuple[Figure, SuspectLabel]]:
        """The labels that may be wrong, with their pictures."""
        assert self.gallery is not None
        return [(self.gallery.figure(issue.path), issue) for issue in self._suspects]

    @property
    def odd(self) -> list[tuple[Figure, str, str]]:
        """Pictures unlike the training pictures, their similarity, and the name of the nearest of those."""
        if not self._odd_places or self.gallery is None or self.evaluation is None:
            return []
        answers = self.evaluation.answers
        assert answers.similarity is not None
        names = answers.nearest or [None] * len(answers.paths)
        return [
            (
                self.gallery.figure(answers.paths[place]),
                f"{answers.similarity[place]:.2f}",
                names[place] or "",
            )
            for place in self._odd_places
        ]

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

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """Name and reason of the images of the list that cannot be read."""
        evaluation = self.report.evaluation
        if evaluation is None or self.gallery is None:
            return []
        answers = evaluation.answers
        return [
            (self.gallery.figure(path).name, error)
            for path, error in zip(answers.paths, answers.errors, strict=True)
            if error is not None
        ]

    @property
    def used(self) -> list[tuple[str, str]]:
        """What was used, with titles; without pictures, no command and no path."""
        gettext = self.phrases.gettext
        titles = {
            "module": gettext("module"),
            "strategy": gettext("strategy"),
            "views": gettext("views"),
            "started": gettext("started"),
            "duration": gettext("time"),
            "command": gettext("command"),
            "versions": gettext("versions"),
            "machine": gettext("machine"),
            "train": gettext("training list, SHA-256"),
            "validate": gettext("validation list, SHA-256"),
            "test": gettext("test list, SHA-256"),
            "weights": gettext("weights, SHA-256"),
            "code": gettext("code of the module, SHA-256"),
        }
        hidden = ("command", "module") if self.gallery is None else ()
        used = self.report.used
        return [(title, used[key]) for key, title in titles.items() if used.get(key) and key not in hidden]
