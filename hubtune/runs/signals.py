"""Ctrl-C, SIGTERM, Ctrl-Break: the first asks a run to save and stop, the second ends the process at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that ask a process to stop; SIGBREAK is Ctrl-Break of Windows, where programs send no SIGTERM."""

# Launchers send SIGTERM several times: Paddle's three times in 0.4 seconds.
_SAME_SECONDS = 2.0


class StopRequested(BaseException):  # like KeyboardInterrupt, not an error
    """Raised at a point where a run can stop, after a stop was requested."""


class Stop:
    """Whether a stop was requested: ``signal`` is the number of the signal, ``None`` before it."""

    def __init__(self, notice: Callable[[str], None] = lambda text: None) -> None:
        self.signal: int | None = None
        self._notice = notice

    def request(self, number: int) -> None:
        """Request a stop, for a signal that this process or another one of the job has received."""
        if self.signal is None:
            self.signal = number
            self._notice("Stopping after this batch, saving … (once more to quit at once)")

    def check(self) -> None:
        """Raise :class:`StopRequested` if a stop was requested."""
        if self.signal is not None:
            raise StopRequested

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as in shells; 149 after Ctrl-Break."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stop_on_signals(
    notice: Callable[[str], None], pass_on: Callable[[int], None] | None = None
) -> Iterator[Stop]:
    """Catch :data:`STOP_SIGNALS` while the block runs; outside the main thread nothing is caught.

    ``notice`` is called with a line for people at the first signal; or ``pass_on``, with its number, if it is
    another process that stops.
    """
    stop = Stop(notice)
    received_at: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if received_at and not (number == signal.SIGTERM and now - received_at[0] < _SAME_SECONDS):
            sys.stderr.flush()
            os._exit(128 + number)  # a second signal: files that are being written are not in their place yet
        received_at.append(now)
        (pass_on or stop.request)(number)

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
