"""A run in a notebook: a bar, the evaluations, and notices, in one output of the cell."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hubtune.evaluation.metrics import Metrics
from hubtune.log import show_on_stderr, warnings_shown_by
from hubtune.messages.translation import translate
from hubtune.notebook.html import bar, document, message, more, notice, side_by_side, table, word
from hubtune.notebook.kernel import CellOutput, in_notebook
from hubtune.runs.callbacks import Callback
from hubtune.text import format_duration, format_share

_SECONDS_BETWEEN_STATES = 0.25  # each is sent to the browser as a whole
_MOST_EVALUATIONS, _MOST_NOTICES = 12, 20
# Before this, the first images' speed says little about the time that is left.
_LEAST_SECONDS = 2.0


@contextmanager
def shown_run(callback: Callback | None) -> Iterator[Callback]:
    """Return the callback of a run; without one, show the run in a notebook, or else its log on stderr."""
    if callback is not None:
        yield callback
    elif in_notebook():
        progress = NotebookProgress()
        with warnings_shown_by(progress.warn):
            yield progress
    else:
        show_on_stderr()
        yield Callback()


@dataclass(frozen=True)
class _Evaluation:
    name: str
    metrics: Metrics
    step: int


class NotebookProgress(Callback):
    """Shows a run in a notebook: a bar while it works, the evaluations, notices and warnings."""

    def __init__(self) -> None:
        """Show nothing until the first event."""
        self._output = CellOutput()
        self._what, self._total, self._done, self._figures = "", 0, 0, ""
        self._started_at = self._shown_at = time.monotonic()
        self._first = 0  # images that earlier processes of the run had done
        self._evaluations: list[_Evaluation] = []
        self._best: _Evaluation | None = None
        self._notices: list[tuple[str, bool]] = []  # text, and whether it is a warning

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._done, self._figures = what, total, done, ""
        self._first, self._started_at = done, time.monotonic()
        self._show()

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._done += images
        if loss is not None:
            self._figures = f"loss {loss:.3f}, accuracy {format_share(accuracy)}"
        if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN_STATES:
            self._show()

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        evaluation = _Evaluation(name, metrics, step)
        self._evaluations.append(evaluation)
        if best:
            self._best = evaluation
        self._show()

    def notice(self, text: str) -> None:
        self._notices.append((text, False))
        self._show()

    def warn(self, text: str) -> None:
        """Show a warning of the log."""
        self._notices.append((text, True))
        self._show()

    def finished(self, result: Mapping[str, Any]) -> None:
        self._what = ""
        self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        html = document(*self._describe_work(), *self._describe_evaluations(), *self._describe_notices())
        self._output.show(str(html), self._plain_text())

    def _describe_work(self) -> list[Markup]:
        if not self._what:
            return []
        of_all = self._done / self._total if self._total else 0.0
        parts = [
            bar(of_all, width="16em"),
            message(f"{self._what}: {self._done:,} of {self._total:,} pictures"),
        ]
        seconds = time.monotonic() - self._started_at
        done = self._done - self._first
        if done and seconds >= _LEAST_SECONDS:
            parts.append(message(f"{done / seconds:.1f} pictures/s"))
            left = max(0, self._total - self._done) * seconds / done
            parts.append(message(f"about {format_duration(left)} left"))
        if self._figures:
            parts.append(message(self._figures))
        return [side_by_side(parts, gap="0 16px")]

    def _describe_evaluations(self) -> list[Markup]:
        latest = self._evaluations[-_MOST_EVALUATIONS:]
        if self._best is not None and self._best not in latest:
            latest = [self._best, *latest[1:]]
        if not latest:
            return []
        is_multi_label = latest[0].metrics.mean_ap is not None
        rows = []
        for each in latest:
            metrics, (low, high) = each.metrics, each.metrics.interval
            rows.append(
                [
                    f"{each.step:,}" if each.step else "–",
                    word(each.name),
                    *([format_share(metrics.mean_ap)] if is_multi_label else []),
                    format_share(metrics.accuracy),
                    f"{100 * low:.1f}–{format_share(high)}",
                    f"{metrics.loss:.3f}",
                    word("best") if each is self._best else "",
                ]
            )
        columns = ["mAP", "all labels right"] if is_multi_label else ["accuracy"]
        heading = ["step", "list", *columns, "95 % interval", "loss", ""]
        strong = [place for place, each in enumerate(latest) if each is self._best or each.name == "test"]
        hidden = len(self._evaluations) - len(latest)
        sides = "><".ljust(len(heading) - 1, ">") + "<"
        return [table(heading, rows, sides=sides, strong=strong), *([more(hidden)] if hidden else [])]

    def _describe_notices(self) -> list[Markup]:
        hidden = len(self._notices) - _MOST_NOTICES
        latest = self._notices[-_MOST_NOTICES:]
        boxes = [notice(message(text), warning=is_warning) for text, is_warning in latest]
        return [*([more(hidden)] if hidden > 0 else []), *boxes]

    def _plain_text(self) -> str:
        """Return the state for what shows no HTML, such as a terminal connected to the kernel."""
        work = [f"{self._what}: {self._done:,} of {self._total:,} pictures"] if self._what else []
        evaluations = [
            f"step {each.step}, {each.name}: {format_share(each.metrics.selection_figure)}"
            f"{' (best)' if each is self._best else ''}"
            for each in self._evaluations[-_MOST_EVALUATIONS:]
        ]
        notices = [text for text, _ in self._notices[-_MOST_NOTICES:]]
        return "\n".join(map(translate, [*work, *evaluations, *notices]))
