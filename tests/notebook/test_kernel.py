"""A notebook is recognised by its kernel, and gets the warnings of the log."""

import logging
import os
import sys
import warnings

import pytest
from support.notebooks import CellHtml, fake_notebook

from hubtune.log import logger, show_on_stderr
from hubtune.notebook.kernel import CellOutput, in_notebook, prepare_notebook


@pytest.fixture
def silent_log(monkeypatch):
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setenv("GLOG_minloglevel", "1")
    with warnings.catch_warnings():
        yield


def test_a_terminal_is_no_notebook(monkeypatch):
    fake_notebook(monkeypatch)
    assert in_notebook()
    fake_notebook(monkeypatch, kernel=False)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_newer_states_of_an_output_stand_in_its_place(monkeypatch):
    outputs = fake_notebook(monkeypatch)
    output = CellOutput()
    for state in ("a", "b"):
        output.show(f"<p>{state}</p>", state)
    CellOutput().show("<p>c</p>", "c")
    plain = [[state["text/plain"] for state in states] for states in outputs]
    assert plain == [["a", "b"], ["c"]]
    assert outputs[0][1]["text/html"] == "<p>b</p>"


def test_in_a_notebook_only_warnings_are_shown_and_as_a_notice(monkeypatch, silent_log, capsys):
    outputs = fake_notebook(monkeypatch)
    monkeypatch.delenv("GLOG_minloglevel")
    prepare_notebook()
    assert os.environ["GLOG_minloglevel"] == "2"  # noqa: SIM112  # Paddle's name
    logger.info("engine: openvino")
    logger.warning("left out: %s", "<b>\x1b")
    [[state]] = outputs
    assert CellHtml(state["text/html"]).alerts == ["left out: <b>\\x1b"] == [state["text/plain"]]
    warnings.warn("No ccache found. Please …", UserWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "")


def test_elsewhere_nothing_changes(monkeypatch, silent_log):
    fake_notebook(monkeypatch, kernel=False)
    prepare_notebook()
    assert (logger.handlers, logger.propagate) == ([], True)
    assert os.environ["GLOG_minloglevel"] == "1"  # noqa: SIM112  # Paddle's name


def test_a_handler_of_the_users_stays_and_the_log_itself_replaces_the_notices(monkeypatch, silent_log):
    fake_notebook(monkeypatch)
    own = logging.NullHandler()
    logger.addHandler(own)
    prepare_notebook()
    assert logger.handlers == [own]
    logger.removeHandler(own)
    prepare_notebook()
    show_on_stderr()
    assert [type(handler) for handler in logger.handlers] == [logging.StreamHandler]
