"""Waiting for what other threads and processes do.

The limit only ends a test that hangs; no test compares a duration with it.
"""

import time
from collections.abc import Callable

HANG_SECONDS = 300


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as a condition holds."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
