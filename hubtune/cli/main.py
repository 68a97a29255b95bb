"""The entry point: Ctrl-C and SIGTERM are caught before anything is imported that takes time."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from hubtune.runs.signals import STOP_SIGNALS

_received: list[int] = []
"""Signals that came, in order; also holds an entry once there is nothing left to clean up."""


def run_and_exit() -> NoReturn:
    """Run the command line, and end the process without freeing what is in memory.

    Python's own end frees every object, which takes Paddle and OpenVINO half a second.
    """
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:  # as where it was closed before the start
                    stream.flush()
            except (OSError, ValueError):  # its reader is gone
                code = code or 141
        os._exit(code)


def main() -> NoReturn:
    """Run the command line and exit with its exit code."""
    _received.clear()
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as of a program in the background
            signal.signal(number, _stop)
    if _KeepSignals not in sys.meta_path:
        from hubtune.doctor.library_files import CutOffLibraries

        sys.meta_path[:0] = [_KeepSignals, CutOffLibraries]
    try:
        from hubtune.cli.commands import run_commands
    except Exception as error:  # click is missing or broken
        from hubtune.doctor.packages import import_problem

        if (problem := import_problem(error)) is None:
            raise
        sys.stderr.write(f"Error: {problem}\n")
        sys.exit(5)
    code = run_commands(_received)
    _received.append(signal.SIGINT)  # while Python ends, a signal ends the process at once
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, so that nothing half-written stays; leave at once at a second signal."""
    _received.append(number)
    # An import would turn the exception into errors and texts of its own, and has nothing to clean up.
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    if frame is None and len(_received) == 1:
        raise KeyboardInterrupt
    try:
        os.write(2, b"Stopped.\n")
        if "--json" in sys.argv and len(_received) == 1:
            error = b'{"exit_code": %d, "message": "Stopped."}' % (128 + number)
            os.write(1, b'{"schema_version": 1, "error": %s}\n' % error)
    finally:
        os._exit(128 + number)


class _KeepSignals:
    """Asked before each import: Paddle takes SIGTERM for its page of C++ while it is imported."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        if "paddle" in sys.modules and callable(handler):
            try:
                signal.signal(signal.SIGTERM, handler)
            except ValueError:  # only the main thread may
                return
