"""PaddleHub's logger, ``paddlehub.common.logger``, on hubtune's log."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from hubtune.errors import UsageError
from hubtune.log import EVAL, TRAIN, logger, show_on_stderr
from hubtune.paddlehub.absent import PaddleHubObject

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "TRAIN", "EVAL")
_NO_LOG = "NOLOG"


class Logger(PaddleHubObject):
    """Writes whole messages; each level is a method: ``info``, ``warning``, ``train``, ``eval``, …"""

    DEBUG, INFO, WARNING, ERROR, CRITICAL = 10, 20, 30, 40, 50
    TRAIN, EVAL, NOLOG = TRAIN, EVAL, _NO_LOG

    def __init__(self, name: str | None = None) -> None:
        """Take hubtune's log, whatever the name is."""
        self.logger, self.logLevel = logger, "INFO"
        self.debug, self.info, self.warning = (self._writer(level) for level in (10, 20, 30))
        self.error, self.critical = (self._writer(level) for level in (40, 50))
        self.train, self.eval = self._writer(TRAIN), self._writer(EVAL)

    def _writer(self, level: int) -> Callable[[object], None]:
        return partial(self, level)

    def __call__(self, level: int, msg: object) -> None:
        """Write a message at a level."""
        show_on_stderr()
        self.logger.log(level, "%s", msg)

    def setLevel(self, logLevel: str) -> None:  # PaddleHub's names
        """Show only messages from a level on; ``NOLOG``: none.

        Raises:
            UsageError: if there is no such level.
        """
        level = str(logLevel).upper()
        if level not in (*_LEVELS, _NO_LOG):
            raise UsageError(
                f"There is no log level {logLevel!r}: it may be {', '.join(_LEVELS)} or {_NO_LOG}"
            )
        self.logLevel = level
        number: Any = logging.CRITICAL + 1 if level == _NO_LOG else logging.getLevelName(level)
        self.logger.setLevel(number)

    def getLevel(self) -> str:  # PaddleHub's name
        """Return the level's name."""
        return self.logLevel


paddlehub_logger = Logger()
