"""The log has PaddleHub's format, and one handler."""

import logging

from hubtune.log import FORMATTER, TRAIN, logger, show_on_stderr


def test_lines_have_paddlehubs_format():
    line = FORMATTER.format(logging.LogRecord("hubtune", TRAIN, "", 0, "step %s", ("\x1b",), None))
    assert line.endswith("] [   TRAIN] - step \\x1b")


def test_a_second_call_adds_no_handler(monkeypatch):
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    show_on_stderr()
    show_on_stderr()
    assert (len(logger.handlers), logger.propagate) == (1, False)
