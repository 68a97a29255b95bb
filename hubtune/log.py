"""The log, in PaddleHub's format ``[time] [   LEVEL] - message``, through Python's ``logging``."""

import logging

from hubtune.text import escaped_lines

TRAIN = 21
EVAL = 22
logging.addLevelName(TRAIN, "TRAIN")
logging.addLevelName(EVAL, "EVAL")

logger = logging.getLogger("hubtune")
logger.setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    """Names in the log must not control the terminal on which somebody reads it."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped_lines(super().format(record))


FORMATTER = _Formatter("[%(asctime)s] [%(levelname)8s] - %(message)s")


def show_on_stderr() -> None:
    """Write the log to the standard error stream, unless it has a handler already.

    The root logger's handlers do not count: importing Paddle adds one.
    """
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(FORMATTER)
        logger.addHandler(handler)
        logger.propagate = False
