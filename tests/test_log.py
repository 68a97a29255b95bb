"""The log has PaddleHub's format, and one handler; in notebooks, its warnings alone are shown."""

import logging

import pytest

from hubtune.log import FORMATTER, TRAIN, logger, show_on_stderr, show_warnings, warnings_shown_by


def test_lines_have_paddlehubs_format():
    line = FORMATTER.format(logging.LogRecord("hubtune", TRAIN, "", 0, "step %s", ("\x1b",), None))
    assert line.endswith("] [   TRAIN] - step \\x1b")


def test_a_second_call_adds_no_handler(monkeypatch):
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    show_on_stderr()
    show_on_stderr()
    assert (len(logger.handlers), logger.propagate) == (1, False)


def test_warnings_alone_are_passed_on_until_the_log_itself_is_shown(monkeypatch):
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    shown, inner = [], []
    show_warnings(shown.append)
    show_warnings(inner.append)  # there is a handler already
    logger.info("nothing")
    logger.warning("a\x1b%s", "b\nc")
    with warnings_shown_by(inner.append):
        logger.error("d")
    logger.warning("e")
    assert (shown, inner) == (["a\\x1bb\nc", "e"], ["d"])
    show_on_stderr()
    assert [type(handler) for handler in logger.handlers] == [logging.StreamHandler]


def test_a_block_that_fails_gives_the_handlers_back(monkeypatch):
    own = logging.NullHandler()
    monkeypatch.setattr(logger, "handlers", [own])
    monkeypatch.setattr(logger, "propagate", True)
    with pytest.raises(ValueError), warnings_shown_by(print):
        assert (len(logger.handlers), logger.propagate) == (2, False)
        raise ValueError
    assert (logger.handlers, logger.propagate) == ([own], True)
