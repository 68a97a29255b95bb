"""PaddleHub's logger writes whole messages into hubtune's log."""

import logging

import pytest

from hubtune.errors import UsageError
from hubtune.log import EVAL, TRAIN, logger
from hubtune.paddlehub.log import Logger


@pytest.fixture(autouse=True)
def _level():
    yield
    logger.setLevel(logging.INFO)


def test_each_level_writes_its_messages(told):
    own = Logger("mine")
    own.setLevel("debug")
    for name in ("debug", "info", "warning", "error", "critical", "train", "eval"):
        getattr(own, name)(f"100 % {name}")
    own(TRAIN, 5)
    levels = [10, 20, 30, 40, 50, TRAIN, EVAL, TRAIN]
    assert [record.levelno for record in told.records] == levels
    assert told.messages[1] == "100 % info"


def test_levels_hide_what_is_below_them(told):
    own = Logger()
    for level, expected in (("WARNING", ["warning"]), ("NOLOG", [])):
        told.clear()
        own.setLevel(level)
        assert own.getLevel() == level
        own.info("info")
        own.warning("warning")
        assert told.messages == expected
    with pytest.raises(UsageError, match="There is no log level 'loud': it may be DEBUG, INFO"):
        own.setLevel("loud")
    with pytest.raises(AttributeError, match="Logger has no 'warn'"):
        own.warn("x")
