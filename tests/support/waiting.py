"""Waiting for other threads and processes, and measuring work; ``HANG_SECONDS`` only ends what hangs."""

import contextlib
import signal
import sys
import time

HANG_SECONDS = 900


def wait_for(condition):
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@contextlib.contextmanager
def hang_guard():
    """End the block with an error where it waits for ever, as for the writer of a named pipe."""

    def give_up(*_):
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

    def __init__(self):
        self.calls = 0

    def __enter__(self):
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _count(self, frame, event, argument):
        self.calls += event in ("call", "c_call")
