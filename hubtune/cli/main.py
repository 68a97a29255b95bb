"""The entry point: Ctrl-C and SIGTERM are caught before anything is imported that takes time."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from hubtune.runs.signals import STOP_SIGNALS

_OLDEST_PYTHON = (3, 11)
_OLD_PYTHON = (
    "Error: hubtune needs Python 3.11, 3.12 or 3.13, and this is {0[0]}.{0[1]}: make another environment, "
    "python3.13 -m venv .venv\n"
)

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
    if sys.version_info[:2] < _OLDEST_PYTHON:
        # What is imported next needs it.
        sys.stderr.write(_OLD_PYTHON.format(sys.version_info))
        sys.exit(5)
    _received.clear()
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as of a program in the background
            signal.signal(number, _stop)
    if _KeepSignals not in sys.meta_path:
        from hubtune.doctor.library_files import CutOffLibraries

        sys.meta_path[:0] = [_KeepSignals, CutOffLibraries]
    try:
        from hubtune.cli.commands import run_commands
    except Exception as error:  # click is missing or broken, or something has the name of a module
        if (problem := _import_problem(error)) is None:
            raise
        sys.stderr.write(f"Error: {problem}\n")
        sys.exit(5)
    code = run_commands(_received)
    _received.append(signal.SIGINT)  # while Python ends, a signal ends the process at once
    sys.exit(code)


def _import_problem(error: Exception) -> str | None:
    try:
        from hubtune.doctor.packages import import_problem, shadow_problem

        return import_problem(error) or shadow_problem()
    except Exception:  # noqa: BLE001  # what it imports is hidden, too
        from hubtune.doctor.shadows import shadow_cure, shadow_sentence, standard_shadow

        path = standard_shadow()
        return path and f"{shadow_sentence('A module of Python', path)}: {shadow_cure(path)}"


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
