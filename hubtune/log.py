"""The log, in PaddleHub's format ``[time] [   LEVEL] - message``, through Python's ``logging``."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


class _WarningHandler(logging.Handler):
    """Passes warnings on to a function that shows them to a person, and nothing else of the log."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(escaped_lines(record.getMessage()))


def show_on_stderr() -> None:
    """Write the log to the standard error stream, unless it has a handler already.

    The root logger's handlers do not count: importing Paddle adds one. That of :func:`show_warnings` is
    removed.
    """
    others = [handler for handler in logger.handlers if not isinstance(handler, _WarningHandler)]
    if not others:
        handler = logging.StreamHandler()
        handler.setFormatter(TERMINAL_FORMATTER)
        logger.handlers[:] = [handler]
        logger.propagate = False


def show_warnings(show: Callable[[str], None]) -> None:
    """Pass warnings of the log on to a function, and nothing else, unless the log has a handler already."""
    if not logger.handlers:
        logger.addHandler(_WarningHandler(show))
        logger.propagate = False


@contextmanager
def warnings_shown_by(show: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, pass warnings on to this function, in place of that of :func:`show_warnings`."""
    own, propagate = _WarningHandler(show), logger.propagate
    others = [handler for handler in logger.handlers if isinstance(handler, _WarningHandler)]
    for handler in others:
        logger.removeHandler(handler)
    logger.addHandler(own)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(own)
        for handler in others:
            logger.addHandler(handler)
        logger.propagate = propagate
