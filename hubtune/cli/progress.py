"""Progress on a terminal: bars that move; elsewhere the log's lines are enough."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import fmean
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from hubtune.cli.console import figures, on_terminal, percent, say, shown
from hubtune.evaluation.metrics import Metrics
from hubtune.log import EVAL, TRAIN, logger, show_on_stderr
from hubtune.runs.callbacks import Callback

_SECONDS_BETWEEN_LINES = 10.0

_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
_POINTS = 32  # of a curve, at most
_FEW_POINTS = 8  # where there is no room for as many, something else is left away
_LEAST_SHARE = 0.05  # of accuracy, and of the highest loss, that a whole curve's height stands for


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar while the block runs, fed with the number done and the number of all; nothing elsewhere."""
    with working_bar(what) as advance:
        yield partial(advance, what)


@contextmanager
def working_bar(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """As :func:`counting_bar`, fed with what is being done, too; a total of 0 is not known yet."""
    if not on_terminal():
        yield lambda what, done, total: None
        return
    with Progress(*_columns(""), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield advance


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What a download tells its bytes while the block runs; lines are logged where there is no terminal."""
    if not on_terminal():
        show_on_stderr()
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def watching() -> Iterator[Callback]:
    """An observer that shows a run on stderr: a bar on a terminal, lines elsewhere."""
    if not on_terminal():
        show_on_stderr()
        yield _Lines()
        return
    console = Console(stderr=True)
    handler = _AboveTheBar(console)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with _CurvesBelow(*_columns("{task.fields[figures]}"), console=console, transient=True) as bar:
            yield _Bar(bar)
    finally:
        logger.removeHandler(handler)


def _columns(extra: str) -> list[ProgressColumn]:
    return [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(extra),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    ]


class _Curve:
    """The course of a figure in few points: each the mean of equally many values, the last of fewer."""

    def __init__(self) -> None:
        self._points: list[float] = []
        self._rest: list[float] = []
        self._values_per_point = 1

    def __bool__(self) -> bool:
        return bool(self._points)

    def add(self, value: float) -> None:
        self._rest.append(value)
        if len(self._rest) < self._values_per_point:
            return
        self._points.append(fmean(self._rest))
        self._rest = []
        if len(self._points) == _POINTS:
            self._points = _fewer(self._points, _POINTS // 2)
            self._values_per_point *= 2

    def drawn(self, size: int, levels: str, least_height: float | None = None) -> str:
        """The curve in at most so many characters, from its lowest point to its highest.

        Args:
            size: number of characters, at least 1.
            levels: what stands for low to high.
            least_height: how much lies between the lowest level and the highest at least, so that chance
                does not look like a landslide; default: a share of the highest point.
        """
        rest = [*self._rest]  # the bar is drawn in a thread of its own, while values are added
        points = _fewer([*self._points, *([fmean(rest)] if rest else [])], size)
        low, high = min(points), max(points)
        height = max(high - low, _LEAST_SHARE * abs(high) if least_height is None else least_height)
        bottom, top = (low + high - height) / 2, len(levels) - 1
        return "".join(levels[round((point - bottom) / (height or 1) * top)] for point in points)


def _fewer(points: list[float], size: int) -> list[float]:
    """The means of neighbours, so that there are not more points than that."""
    count = len(points)
    if count <= size:
        return points
    return [fmean(points[i * count // size : (i + 1) * count // size]) for i in range(size)]


class _Curves:
    """A line with the curves of validation accuracy and training loss, as far as the terminal has room."""

    def __init__(self) -> None:
        self.accuracy, self.loss = _Curve(), _Curve()
        self.latest = 0.0
        self.best: tuple[float, int] | None = None  # accuracy and step

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.loss:  # nothing is being trained
            return
        levels = _ASCII_LEVELS if options.ascii_only or options.legacy_windows else _LEVELS
        for best, loss in ((True, True), (False, True), (False, False)):
            bare = self._line(1, levels, best=best, loss=loss).cell_len
            size = 1 + (options.max_width - bare) // (2 if self.accuracy and loss else 1)
            if size >= _FEW_POINTS:
                break
        yield self._line(max(1, min(size, _POINTS)), levels, best=best, loss=loss)

    def _line(self, size: int, levels: str, *, best: bool, loss: bool) -> Text:
        line = Text(no_wrap=True, overflow="crop")
        if self.accuracy:
            line.append("validate ")
            line.append(self.accuracy.drawn(size, levels, _LEAST_SHARE), "green")
            line.append(f" {percent(self.latest)}")
            if best and self.best:
                line.append(f", best {percent(self.best[0])} at step {self.best[1]}")
        if loss or not self.accuracy:
            line.append("  loss " if line else "loss ")
            line.append(self.loss.drawn(size, levels), "magenta")
        return line


class _CurvesBelow(Progress):
    """A bar with curves below it."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        self.curves = _Curves()  # drawn while the base class is being made
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield self.curves


class _AboveTheBar(logging.Handler):
    """Prints the log above the bar, without the training steps that the bar itself shows."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno in (TRAIN, EVAL):
            return
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        self._console.print(f"[{style}]{escape(shown(record.getMessage()))}[/]", highlight=False)


class _Bar(Callback):
    """Draws the bar and the curves."""

    def __init__(self, bar: _CurvesBelow) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._start = time.monotonic()
        self._done = 0

    def start(self, what: str, total: int, done: int = 0) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, completed=done, figures="")
        self._start, self._done = time.monotonic(), 0

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        assert self._task is not None
        self._done += images
        speed = self._done / max(1e-9, time.monotonic() - self._start)
        learning = "" if loss is None else f"loss {loss:.3f}  acc {accuracy:.3f}  "
        self._bar.update(self._task, advance=images, figures=f"{learning}{speed:.1f} pictures/s")

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        if loss is not None:
            self._bar.curves.loss.add(loss)

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        curves = self._bar.curves
        if name == "validate":
            curves.accuracy.add(metrics.accuracy)
            curves.latest = metrics.accuracy
            if best:
                curves.best = metrics.accuracy, step
        mark = "  [green]best so far[/]" if best and step else ""
        when = f"step {step}, " if step else ""
        self._bar.console.print(f"{when}{name}: {figures(metrics)}{mark}", highlight=False)

    def notice(self, text: str) -> None:
        self._bar.console.print(escape(text), highlight=False)


class _Lines(Callback):
    """Adds a line now and then where the log says nothing for long."""

    def __init__(self) -> None:
        self._what = ""
        self._total = self._done = 0
        self._last = time.monotonic()

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._done = what, total, done

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._done += images
        if loss is None and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logger.info("%s: %d of %d pictures", self._what, self._done, self._total)

    def notice(self, text: str) -> None:
        say(text)
