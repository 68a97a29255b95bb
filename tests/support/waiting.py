"""Waiting for what other threads and processes do, and measuring work without a clock.

``HANG_SECONDS`` only ends a test that hangs; no test compares a duration with it.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator

HANG_SECONDS = 900


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as a condition holds."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@contextlib.contextmanager
def hang_guard() -> Iterator[None]:
    """End the block with an error where it waits for ever, as for the writer of a named pipe."""

    def give_up(*_: object) -> None:
        raise AssertionError("the call hangs")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class CallCount:
    """How many functions a block has called, of Python and of C: a measure of work that no clock enters."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "CallCount":
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: object, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")
