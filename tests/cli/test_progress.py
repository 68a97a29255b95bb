"""The terminal shows the curves of validation accuracy and loss, as far as it has room and characters."""

import io

import pytest
from rich.console import Console

from hubtune.cli import progress
from hubtune.cli.progress import LEVELS, Curve, RunDisplay
from hubtune.evaluation.metrics import Metrics


def _terminal(width=100, encoding="utf-8", **options):
    screen = type("Screen", (io.StringIO,), {"encoding": encoding})()
    return Console(file=screen, width=width, **options)


def _train(console, accuracies, *, best=-1):
    """A display that has seen ten steps before each of the accuracies."""
    display = RunDisplay(console)
    display.start("training", 100)
    for number, accuracy in enumerate(accuracies):
        for step in range(10 * number + 1, 10 * number + 11):
            display.advance(1, loss=1.0, accuracy=0.5)
            display.stepped(step, 100, loss=10 / step, accuracy=0.5, rate=1e-3)
        metrics = Metrics(accuracy, 1.0, 40, (0.0, 1.0))
        display.evaluated("validate", metrics, step=10 * number + 10, best=number == best)
    return display


def _lines(display):
    """The bar, and the curves if there are any, as displayed."""
    with display.console.capture() as shown:
        display.console.print(display)
    return shown.get().splitlines()


def test_the_curves_with_latest_and_best_are_on_one_line_below_the_bar():
    display = _train(_terminal(), [0.5, 0.7, 0.9, 0.8], best=2)
    bar, curves = _lines(display)
    assert bar.startswith("training ")
    assert curves.startswith("validate ▁▅█▆ 80.0 %, best 90.0 % at step 30  loss █")
    assert curves.endswith("▁")
    # The test list is not part of the curve, a resumed run names no best, and features have no curve.
    display.evaluated("test", Metrics(0.1, 1.0, 40, (0.0, 1.0)), step=20, best=False)
    assert _lines(display)[1] == curves
    assert "best" not in _lines(_train(_terminal(), [0.5, 0.7]))[1]
    display = _train(_terminal(), [])
    display.evaluated("validate", Metrics(0.5, 1.0, 40, (0.0, 1.0)), step=0, best=True)
    assert len(_lines(display)) == 1


@pytest.mark.parametrize("width", [8, 20, 40, 60, 79, 80, 200])
def test_every_width_gets_one_line_with_what_there_is_room_for(width):
    display = _train(_terminal(width), [number / 50 for number in range(50)], best=40)
    line = _lines(display)[-1]
    assert line.startswith("validate"[:width])
    assert len(line) <= width
    assert ("best" in line, "loss" in line) == (width >= 79, width >= 40)
    assert width < 40 or sum(mark in LEVELS for mark in line) >= 8


def test_terminals_get_the_characters_and_colours_that_they_can_show(monkeypatch):
    line = _lines(_train(_terminal(encoding="latin-1", force_terminal=True), [0.5, 0.7, 0.9], best=2))[1]
    assert line.isascii() and "_+@" in line
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in _lines(_train(_terminal(force_terminal=True), [0.5, 0.7], best=1))[1]


def test_curves_show_changes_and_no_noise():
    def drawn(values, size, **options):
        curve = Curve()
        for value in values:
            curve.add(value)
        return curve.draw(size, LEVELS, **options)

    heights = [*map(LEVELS.index, drawn([0.800, 0.805, 0.795, 0.802], 8, least_height=0.05))]
    assert max(heights) - min(heights) <= 2
    assert drawn(range(10_000), 8) == LEVELS
    assert len(drawn(range(10_000), 100)) <= 32


def test_without_a_terminal_long_work_has_a_line_every_half_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.working_bar("reading") as advance:
        for seconds, done, total in (
            (1, 10, 5000),
            (31, 1200, 5000),
            (32, 1300, 5000),
            (70, 0, 0),
            (101, 7, 0),
        ):
            now[0] = seconds
            advance("reading", done, total)
    assert capsys.readouterr().err == "reading: 1,200 of 5,000\nreading …\nreading: 7\n"
