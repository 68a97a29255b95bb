"""The log, in PaddleHub's format ``[time] [   LEVEL] - message``, through Python's ``logging``."""

import logging
from collections.abc import Callable

from hubtune.text import escaped_lines

TRAIN = 21
EVAL = 22
logging.addLevelName(TRAIN, "TRAIN")
logging.addLevelName(EVAL, "EVAL")

logger = logging.getLogger("hubtune")
logger.setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    """Names in the log must not control the terminal on which somebody reads it."""

    translate: Callable[[str], str] | None = None

    def formatMessage(self, record: logging.LogRecord) -> str:
        # The lines of steps and evaluations are PaddleHub's, which programs read.
        if self.translate is not None and record.levelno not in (TRAIN, EVAL):
            record.message = self.translate(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return escaped_lines(super().format(record))


_FORMAT = "[%(asctime)s] [%(levelname)8s] - %(message)s"
FORMATTER = _Formatter(_FORMAT)
TERMINAL_FORMATTER = _Formatter(_FORMAT)
"""That of :func:`show_on_stderr`, to which the command line gives a translation."""


def show_on_stderr() -> None:
    """Write the log to the standard error stream, unless it has a handler already.

    The root logger's handlers do not count: importing Paddle adds one.
    """
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(TERMINAL_FORMATTER)
        logger.addHandler(handler)
        logger.propagate = False
