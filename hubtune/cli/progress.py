"""Progress on a terminal: bars that move; elsewhere the log's lines are enough."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hubtune.cli.output import figures, on_terminal, say, shown
from hubtune.evaluate import Metrics
from hubtune.log import EVAL, TRAIN, logger, show_on_stderr
from hubtune.train.observer import Observer

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal while the block runs, fed with the number done and the number of all."""
    with _bar(Console(stderr=True), "") as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

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
def watching() -> Iterator[Observer]:
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
        with _bar(console, "{task.fields[figures]}") as bar:
            yield _Bar(bar)
    finally:
        logger.removeHandler(handler)


def _bar(console: Console, extra: str) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(extra),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        transient=True,
    )


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


class _Bar(Observer):
    """Draws the bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._start = time.monotonic()
        self._done = 0

    def start(self, what: str, total: int, done: int = 0) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, completed=done, figures="")
        self._start, self._done = time.monotonic(), 0

    def advance(self, pictures: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        assert self._task is not None
        self._done += pictures
        speed = self._done / max(1e-9, time.monotonic() - self._start)
        learning = "" if loss is None else f"loss {loss:.3f}  acc {accuracy:.3f}  "
        self._bar.update(self._task, advance=pictures, figures=f"{learning}{speed:.1f} pictures/s")

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        mark = "  [green]best so far[/]" if best and step else ""
        when = f"step {step}, " if step else ""
        self._bar.console.print(f"{when}{name}: {figures(metrics)}{mark}", highlight=False)

    def notice(self, text: str) -> None:
        self._bar.console.print(escape(text), highlight=False)


class _Lines(Observer):
    """Adds a line now and then where the log says nothing for long."""

    def __init__(self) -> None:
        self._what = ""
        self._total = self._done = 0
        self._last = time.monotonic()

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._done = what, total, done

    def advance(self, pictures: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._done += pictures
        if loss is None and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logger.info("%s: %d of %d pictures", self._what, self._done, self._total)

    def notice(self, text: str) -> None:
        say(text)
