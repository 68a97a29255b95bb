"""Ctrl-C and SIGTERM: the first asks a run to save and stop, the second ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequested(BaseException):  # like KeyboardInterrupt, not an error
    """Raised at a point where a run can stop, after a stop was requested."""


class Stop:
    """Whether a stop was requested: ``signal`` is the number of the signal, ``None`` before it."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise :class:`StopRequested` if a stop was requested."""
        if self.signal is not None:
            raise StopRequested

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as in shells."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stop_on_signals(notice: Callable[[str], None]) -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM while the block runs; outside the main thread nothing is caught.

    ``notice`` is called with a line for people at the first signal.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            sys.stderr.flush()
            os._exit(128 + number)  # a second signal: files that are being written are not in their place yet
        stop.signal = number
        notice("Stopping after this batch, saving … (once more to quit at once)")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
