"""A follower ends its process from a thread: here that of the tests, perhaps long after its own test."""

import os
import threading

_end = os._exit


def _end_thread(code):
    if threading.current_thread() is threading.main_thread():
        _end(code)
    raise SystemExit(code)


os._exit = _end_thread
