"""A notebook shows a run in one output: a bar, the evaluations, notices; elsewhere its log appears."""

import logging

import pytest
from support.notebooks import CellHtml, fake_notebook

from hubtune.evaluation.metrics import Metrics
from hubtune.log import EVAL, logger
from hubtune.runs import notebook_progress
from hubtune.runs.callbacks import Callback
from hubtune.runs.notebook_progress import NotebookProgress, shown_run


def _metrics(accuracy, **more):
    return Metrics(accuracy, 0.5, 100, (accuracy - 0.1, accuracy + 0.1), **more)


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    return logger


@pytest.fixture
def outputs(monkeypatch, log):
    return fake_notebook(monkeypatch)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(notebook_progress.time, "monotonic", lambda: now[0])
    return now


def _latest(outputs):
    [states] = outputs
    return CellHtml(states[-1]["text/html"])


def test_a_bar_shows_what_is_done_and_how_long_the_rest_takes(outputs, clock):
    progress = NotebookProgress()
    progress.start("training", 672, 72)
    clock[0] += 10
    progress.advance(200, loss=0.4123, accuracy=0.868)
    shown = _latest(outputs)
    for part in ("training: 272 of 672 pictures", "20.0 pictures/s", "about 20 seconds left"):
        assert part in shown.text
    assert "loss 0.412, accuracy 86.8 %" in shown.text
    assert "width:40.5%" in str(outputs[0][-1]["text/html"])
    progress.start("features", 0)
    assert "features: 0 of 0 pictures" in _latest(outputs).text


def test_the_browser_gets_a_few_states_a_second(outputs, clock):
    progress = NotebookProgress()
    progress.start("training", 10_000)
    for _ in range(1000):
        clock[0] += 0.01
        progress.advance(1)
    assert 20 < len(outputs[0]) < 50


def test_the_best_evaluation_is_marked(outputs):
    progress = NotebookProgress()
    for step, accuracy in ((20, 0.7), (40, 0.8), (60, 0.75)):
        progress.evaluated("validate", _metrics(accuracy), step=step, best=step < 60)
    progress.evaluated("test", _metrics(0.78), step=40, best=False)
    shown = _latest(outputs)
    assert shown.rows[0] == ["step", "list", "accuracy", "95 % interval", "loss", ""]
    assert [(row[0], row[1], row[-1]) for row in shown.rows[1:]] == [
        ("20", "validate", ""),
        ("40", "validate", "best"),
        ("60", "validate", ""),
        ("40", "test", ""),
    ]
    assert shown.rows[2][2:4] == ["80.0 %", "70.0–90.0 %"]
    plain = outputs[0][-1]["text/plain"].splitlines()
    assert plain[1] == "step 40, validate: 80.0 % (best)" and len(plain) == 4


def test_many_evaluations_are_shown_as_the_best_and_the_latest(outputs):
    progress = NotebookProgress()
    for step in range(1, 31):
        progress.evaluated("validate", _metrics(0.5, mean_ap=0.6), step=step, best=step == 3)
    shown = _latest(outputs)
    assert [row[0] for row in shown.rows[1:]] == ["3", *map(str, range(20, 31))]
    assert shown.rows[0][2:4] == ["mAP", "all labels right"] and shown.rows[1][2:4] == ["60.0 %", "50.0 %"]
    assert shown.text.endswith("and 18 more")


def test_a_head_that_was_solved_has_no_step(outputs):
    NotebookProgress().evaluated("test", _metrics(0.5), step=0, best=False)
    assert _latest(outputs).rows[1][0] == "–"


def test_the_bar_goes_when_the_run_is_finished_and_the_rest_stays(outputs):
    progress = NotebookProgress()
    progress.start("training", 10)
    progress.notice("Training ends early <")
    progress.finished({})
    shown = _latest(outputs)
    assert shown.text == "Training ends early <" and not shown.alerts


def test_many_notices_are_shown_up_to_a_limit(outputs):
    progress = NotebookProgress()
    for number in range(25):
        progress.notice(f"notice {number}")
    text = _latest(outputs).text
    assert text.startswith("and 5 more notice 5") and text.endswith("notice 24")


def test_in_a_notebook_warnings_stand_in_place_of_the_log(outputs, log, capsys):
    with shown_run(None) as callback:
        log.info("digitnet, frozen, cpu")
        log.log(EVAL, "[dev dataset evaluation result] loss=1")
        log.warning("left out: %s", "a<b\x1b.jpg")
        callback.evaluated("validate", _metrics(0.5), step=1, best=True)
    shown = _latest(outputs)
    assert shown.alerts == ["left out: a<b\\x1b.jpg"] and len(shown.rows) == 2
    assert capsys.readouterr() == ("", "")
    assert (log.handlers, log.propagate) == ([], True)


def test_elsewhere_the_log_appears_on_stderr_and_a_given_callback_is_taken(monkeypatch, log, outputs, capsys):
    own = Callback()
    with shown_run(own) as callback:
        assert callback is own and not log.handlers
    fake_notebook(monkeypatch, kernel=False)
    with shown_run(None) as callback:
        log.info("digitnet")
        assert type(callback) is Callback
    assert capsys.readouterr().err.endswith("[    INFO] - digitnet\n")
    assert [type(handler) for handler in log.handlers] == [logging.StreamHandler]
    assert outputs == []
