"""The log: PaddleHub-shaped lines, ``[time] [   LEVEL] - message``, through Python's own ``logging``."""

import logging

TRAIN = 21
EVAL = 22
logging.addLevelName(TRAIN, "TRAIN")
logging.addLevelName(EVAL, "EVAL")

logger = logging.getLogger("hubtune")
logger.setLevel(logging.INFO)

FORMATTER = logging.Formatter("[%(asctime)s] [%(levelname)8s] - %(message)s")


def show_on_stderr() -> None:
    """Show the log on the standard error stream, unless a handler for it is there already.

    The root logger's handlers are not asked: Paddle puts one there when it is imported.
    """
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(FORMATTER)
        logger.addHandler(handler)
        logger.propagate = False
