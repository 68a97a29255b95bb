"""Progress bars on a terminal; elsewhere the log's lines are enough."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import fmean

from rich import progress as bars
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from hubtune.cli.console import figures, on_terminal, percent, say, shown
from hubtune.evaluation.metrics import Metrics
from hubtune.log import EVAL, TRAIN, logger, show_on_stderr
from hubtune.messages.translation import translate, translate_word
from hubtune.runs.callbacks import Callback
from hubtune.text import escaped_lines

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_COUNTS = 30.0  # of work without figures

LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
"""Characters of a curve, from low to high."""

_POINTS = 32  # of a curve, at most
_FEW_POINTS = 8  # below this, the line gives up its other parts first
_LEAST_SHARE = 0.05  # height of a curve, at least: of accuracy, and of the highest loss


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs; it is fed with the number done and the total."""
    with working_bar(what) as advance:
        yield partial(advance, what)


@contextmanager
def working_bar(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """As :func:`counting_bar`, also fed with the current activity; a total of 0 is not known yet."""
    if not on_terminal():
        yield _ProgressLines().advance
        return
    with _bar(what, *_columns("")) as update:
        yield lambda what, done, total: update(
            description=_activity(what), completed=done, total=total or None
        )


class _ProgressLines:
    """A line about long work every half a minute, where there is no terminal for a bar."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SECONDS_BETWEEN_COUNTS

    def advance(self, what: str, done: int, total: int) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _SECONDS_BETWEEN_COUNTS
            of_all = f" of {total:,}" if total else ""
            say(f"{what}: {done:,}{of_all}" if done or total else f"{what} …")


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show a bar fed with a download's bytes and their total; without a terminal, ``None`` and the log."""
    if not on_terminal():
        show_on_stderr()
        yield None
        return
    shown_bytes = bars.DownloadColumn(), bars.TransferSpeedColumn()
    with _bar(name, bars.TextColumn("{task.description}"), bars.BarColumn(), *shown_bytes) as update:
        yield lambda done, total: update(completed=done, total=total)


@contextmanager
def _bar(what: str, *columns: bars.ProgressColumn) -> Iterator[Callable[..., None]]:
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield partial(bar.update, bar.add_task(escape(_activity(shown(what))), total=None))


@contextmanager
def run_progress() -> Iterator[Callback]:
    """A callback that shows a run on stderr: a bar and curves on a terminal, lines elsewhere."""
    if not on_terminal():
        show_on_stderr()
        yield _RunLines()
        return
    display = RunDisplay(Console(stderr=True))
    handler = _BarLog(display.console)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with Live(display, console=display.console, transient=True, refresh_per_second=10):
            yield display
    finally:
        logger.removeHandler(handler)


def _columns(extra: str) -> list[bars.ProgressColumn]:
    return [
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(extra),
        bars.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    ]


def _activity(what: str) -> str:
    """Return what is being done in the language of messages; ``training`` alone is the list of that name."""
    words = f"{what} …"
    translated = translate_word(words)
    return translate(what) if translated == words else translated


class Curve:
    """A figure over time in at most 32 points, each the mean of equally many values (the last of fewer)."""

    def __init__(self) -> None:
        self._points: list[float] = []
        self._rest: list[float] = []
        self._values_per_point = 1

    def __bool__(self) -> bool:
        return bool(self._points)

    def add(self, value: float) -> None:
        self._rest.append(value)
        if len(self._rest) == self._values_per_point:
            self._points.append(fmean(self._rest))
            self._rest = []
        if len(self._points) == _POINTS:  # so that memory and drawing time do not grow with the run
            self._points = _averaged(self._points, _POINTS // 2)
            self._values_per_point *= 2

    def draw(self, size: int, levels: str, least_height: float | None = None) -> str:
        """Draw the curve in at most ``size`` characters out of ``levels``, which are sorted from low to high.

        ``least_height`` is the least difference between the lowest level and the highest, so that noise does
        not look like a change; default: a share of the highest point.
        """
        rest = [*self._rest]  # the bar is drawn in another thread while values are added
        points = _averaged([*self._points, *([fmean(rest)] if rest else [])], size)
        low, high = min(points), max(points)
        height = max(high - low, _LEAST_SHARE * abs(high) if least_height is None else least_height)
        bottom, top = (low + high - height) / 2, len(levels) - 1
        return "".join(levels[round((point - bottom) / (height or 1) * top)] for point in points)


def _averaged(points: list[float], size: int) -> list[float]:
    count = len(points)
    if count <= size:
        return points
    return [fmean(points[i * count // size : (i + 1) * count // size]) for i in range(size)]


class _BarLog(logging.Handler):
    """Prints the log above the bar, without training steps and evaluations, which the bar itself shows."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno not in (TRAIN, EVAL):
            style = "yellow" if record.levelno >= logging.WARNING else "dim"
            self._console.print(
                f"[{style}]{escape(translate(shown(record.getMessage())))}[/]", highlight=False
            )


class RunDisplay(Callback):
    """A run's bar, and below it the curves of validation accuracy and training loss."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = bars.Progress(*_columns("{task.fields[figures]}"), console=console)
        self._task: bars.TaskID | None = None
        self._start, self._done = time.monotonic(), 0
        self._accuracy, self._loss = Curve(), Curve()
        self._latest = 0.0
        self._best: tuple[float, int] | None = None  # accuracy and step

    def start(self, what: str, total: int, done: int = 0) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(_activity(what), total=total, completed=done, figures="")
        self._start, self._done = time.monotonic(), 0

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        assert self._task is not None
        self._done += images
        speed = self._done / max(1e-9, time.monotonic() - self._start)
        learning = ""
        if loss is not None:
            learning = f"{translate_word('loss')} {loss:.3f}  {translate_word('acc')} {accuracy:.3f}  "
        self._bar.update(self._task, advance=images, figures=learning + translate(f"{speed:.1f} pictures/s"))

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        if loss is not None:
            self._loss.add(loss)

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        if name == "validate":
            self._accuracy.add(metrics.selection_figure)
            self._latest = metrics.selection_figure
            if best:
                self._best = metrics.selection_figure, step
        mark = translate_word("best so far") if best and step else ""
        list_name = translate_word(name)
        line = f"step {step}, {list_name}: {figures(metrics)}" if step else f"{list_name}: {figures(metrics)}"
        self.console.print(escape(translate(line)), f" [green]{mark}[/]" * bool(mark), highlight=False)

    def notice(self, text: str) -> None:
        self.console.print(escape(translate(escaped_lines(text))), highlight=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._bar
        if self._loss:  # otherwise nothing is being trained
            yield self._curves(options)

    def _curves(self, options: ConsoleOptions) -> Text:
        levels = ASCII_LEVELS if options.ascii_only or options.legacy_windows else LEVELS
        for best, loss in ((True, True), (False, True), (False, False)):
            bare = self._line(1, levels, best=best, loss=loss).cell_len
            size = 1 + (options.max_width - bare) // (2 if self._accuracy and loss else 1)
            if size >= _FEW_POINTS:
                break
        return self._line(max(1, min(size, _POINTS)), levels, best=best, loss=loss)

    def _line(self, size: int, levels: str, *, best: bool, loss: bool) -> Text:
        line = Text(no_wrap=True, overflow="crop")
        if self._accuracy:
            line.append(f"{translate_word('validate')} ")
            line.append(self._accuracy.draw(size, levels, _LEAST_SHARE), "green")
            line.append(f" {percent(self._latest)}")
            if best and self._best:
                line.append(translate(f", best {percent(self._best[0])} at step {self._best[1]}"))
        if loss or not self._accuracy:
            line.append(f"{'  ' if line else ''}{translate_word('loss')} ")
            line.append(self._loss.draw(size, levels), "magenta")
        return line


class _RunLines(Callback):
    """Logs a line every ten seconds where nothing is trained and the log is silent."""

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0
        self._last = time.monotonic()

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._done = what, total, done

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._done += images
        if loss is None and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            what = self._what
            logger.info(f"{what}: {self._done} of {self._total} pictures")

    def notice(self, text: str) -> None:
        say(text)
