"""The terminal shows where validation and loss are going, as far as it has room and characters."""

import io

import pytest
from rich.console import Console

from hubtune.cli.progress import (
    _ASCII_LEVELS,
    _LEVELS,
    _Bar,
    _columns,
    _Curve,
    _CurvesBelow,
    counting_bar,
    working_bar,
)
from hubtune.evaluation.metrics import Metrics


def _terminal(width=80, encoding="utf-8"):
    class Screen(io.StringIO):
        pass

    Screen.encoding = encoding
    return Console(file=Screen(), force_terminal=True, width=width)


def _bar(console):
    return _CurvesBelow(*_columns("{task.fields[figures]}"), console=console, auto_refresh=False)


def _train(bar, accuracies, *, best=-1):
    observer = _Bar(bar)
    observer.start("training", 100)
    for number, accuracy in enumerate(accuracies):
        for step in range(10 * number + 1, 10 * number + 11):
            observer.advance(1, loss=1.0, accuracy=0.5)
            observer.stepped(step, 100, loss=10 / step, accuracy=0.5, rate=1e-3)
        metrics = Metrics(accuracy, 1.0, 40, (0.0, 1.0))
        observer.evaluated("validate", metrics, step=10 * number + 10, best=number == best)
    return observer


def _line(console, bar):
    """The line of the curves, as it is seen."""
    with console.capture() as shown:
        console.print(bar.curves)
    return shown.get().rstrip("\n")


def test_curves_latest_and_best_are_on_one_line():
    console = Console(width=100, file=io.StringIO())
    bar = _bar(console)
    _train(bar, [0.5, 0.7, 0.9, 0.8], best=2)
    line = _line(console, bar)
    assert line.startswith("validate ▁▅█▆ 80.0 %, best 90.0 % at step 30  loss █")
    assert line.endswith("▁")


def test_a_resumed_run_names_no_best_that_it_has_not_seen():
    console = Console(width=100, file=io.StringIO())
    bar = _bar(console)
    _train(bar, [0.5, 0.7])
    assert "best" not in _line(console, bar)


def test_the_curves_are_below_the_bar():
    console = _terminal()
    with console.capture() as shown, _bar(console) as bar:
        _train(bar, [0.5, 0.7])
        bar.refresh()
    screen = shown.get().rpartition("training ")[2]
    assert "validate " in screen.splitlines()[1]


@pytest.mark.parametrize("width", [8, 20, 40, 60, 79, 80, 81, 200])
def test_every_width_gets_one_line_with_what_there_is_room_for(width):
    console = Console(width=width, file=io.StringIO())
    bar = _bar(console)
    _train(bar, [number / 50 for number in range(50)], best=40)
    line = _line(console, bar)
    assert "\n" not in line
    assert len(line) <= width
    assert ("best" in line, "loss" in line) == (width >= 79, width >= 40)
    assert width < 40 or sum(mark in _LEVELS for mark in line) >= 8


def test_a_terminal_that_is_not_utf_8_gets_ascii():
    console = _terminal(encoding="latin-1")
    bar = _bar(console)
    _train(bar, [0.5, 0.7, 0.9], best=2)
    line = _line(console, bar)
    assert line.isascii()
    assert "_+@" in line


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = _terminal()
    bar = _bar(console)
    _train(bar, [0.5, 0.7], best=1)
    assert "\x1b" not in _line(console, bar)


def test_nothing_is_drawn_where_nothing_is_trained():
    console = _terminal()
    bar = _bar(console)
    observer = _Bar(bar)
    observer.start("features", 10)
    observer.advance(10)
    observer.evaluated("validate", Metrics(0.5, 1.0, 40, (0.0, 1.0)), step=0, best=True)
    assert _line(console, bar) == ""


def test_the_test_at_the_end_is_no_point_of_the_curve():
    console = Console(width=100, file=io.StringIO())
    bar = _bar(console)
    observer = _train(bar, [0.5, 0.7], best=1)
    before = _line(console, bar)
    observer.evaluated("test", Metrics(0.1, 1.0, 40, (0.0, 1.0)), step=20, best=False)
    assert _line(console, bar) == before


def test_chance_does_not_look_like_a_landslide():
    curve = _Curve()
    for value in (0.800, 0.805, 0.795, 0.802):
        curve.add(value)
    heights = [_LEVELS.index(mark) for mark in curve.drawn(8, _LEVELS, least_height=0.05)]
    assert max(heights) - min(heights) <= 2


def test_a_constant_curve_is_drawn():
    for value in (0.0, 1.0):
        curve = _Curve()
        curve.add(value)
        curve.add(value)
        assert len(set(curve.drawn(8, _ASCII_LEVELS))) == 1


def test_a_long_run_is_drawn_as_a_whole():
    curve = _Curve()
    for number in range(10_000):
        curve.add(number)
    drawn = curve.drawn(8, _LEVELS)
    assert drawn == _LEVELS
    assert len(curve.drawn(100, _LEVELS)) <= 32


def test_bars_are_shown_on_a_terminal_only(monkeypatch, capsys):
    with counting_bar("reading pictures") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("hubtune.cli.progress.on_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with working_bar("opening") as tell:
        tell("fetching", 3, 0)
        tell("unpacking", 4, 9)
    drawn = capsys.readouterr().err
    assert "unpacking" in drawn and "4/9" in drawn
