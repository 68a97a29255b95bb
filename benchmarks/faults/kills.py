"""SIGKILL at moments spread over the measured window of an operation that writes.

The child announces the window's start and end through a pipe: a kill hit inside it if the start was announced
and the end was not.
"""

import os
import select
import signal
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.children import fork, mutate_here, wait
from benchmarks.faults.outcome import Outcome

_HANG_SECONDS = 120.0
_PROBES = 5
_SHARE_INSIDE = 0.75
_FILE_CALLS = frozenset(
    "open write flush fsync sync close mkdir rename replace unlink rmdir truncate".split()
)
Announce = Callable[[bytes], None]


@dataclass
class Victim:
    """An operation that is killed.

    Attributes:
        work: runs in a child; it calls its argument with ``b"S"`` at the start of the window and with
            ``b"E"`` at its end. What else it announces, up to a line break, is kept for ``check``.
        check: called in the parent after each kill, with what was announced; returns what is wrong.
        before: called in the parent before each child.
    """

    work: Callable[[Announce], None]
    check: Callable[[str], str | None]
    before: Callable[[], None] = field(default=lambda: None)


def run_kills(victim: Victim, kills: int) -> Outcome:
    """Kill an operation at delays spread over its window, and check what is left each time.

    Three quarters of the kills must hit inside the window. For those that came too late, further ones follow.
    """
    outcome = Outcome()
    windows: deque[float] = deque(maxlen=_PROBES)
    for _ in range(_PROBES):
        victim.before()
        window, announced = _once(victim, None)
        if window is None:
            outcome.expect(False, f"the operation fails without a kill: {announced[-300:]}")
            return outcome
        windows.append(window)
        _check(outcome, victim, announced, "undisturbed")
    first = statistics.median(windows)
    inside, done = 0, 0
    while done < kills or (inside < _SHARE_INSIDE * kills and done < 3 * kills):
        # Low-discrepancy points beyond the first round, so that the window stays evenly covered. The width
        # follows the latest windows that were seen whole, as the load of the machine changes.
        share = (done + 0.5) / kills if done < kills else (done * 0.6180339887) % 1
        delay = share * statistics.median(windows)
        victim.before()
        window, announced = _once(victim, delay)
        if window is None:
            inside += 1
        else:
            windows.append(window)
        done += 1
        _check(outcome, victim, announced, f"kill after {1000 * delay:.1f} ms")
    outcome.expect(inside >= _SHARE_INSIDE * kills, f"only {inside} of {done} kills hit inside the window")
    outcome.tried = done
    outcome.evidence = f"{done} kills, {inside} inside the window of {1000 * first:.1f} ms"
    return outcome


def run_call_kills(victim: Victim, kills: int) -> Outcome:
    """Kill an operation at calls that change files, spread evenly over all that it makes.

    No clock decides: the same calls are hit each time, and all of them are inside the window.
    """
    outcome = Outcome()
    victim.before()
    _, announced = _once(victim, None, at_call=2**62)
    calls = next((int(line[6:]) for line in announced.splitlines() if line.startswith("calls ")), 0)
    outcome.expect(calls, f"the operation fails without a kill: {announced[-300:]}")
    for number in range(kills if calls else 0):
        call = 1 + calls * (2 * number + 1) // (2 * kills)
        victim.before()
        window, announced = _once(victim, None, at_call=call)
        outcome.expect(window is None, f"call {call} of {calls} was not reached")
        _check(outcome, victim, announced, f"kill at call {call} of {calls}")
    outcome.tried = kills
    outcome.evidence = f"{kills} kills at {calls:,} calls that change files"
    return outcome


class _CallKill:
    """Kills this process at a call that changes files, counted from the start of the window."""

    def __init__(self, at_call: int) -> None:
        self.calls = 0
        self._at_call = at_call

    def count(self, frame: object, event: str, argument: object) -> None:
        """Count a call; a function for ``sys.setprofile``."""
        if event != "c_call" or getattr(argument, "__name__", "") not in _FILE_CALLS:
            return
        self.calls += 1
        if self.calls >= self._at_call:
            os.kill(os.getpid(), signal.SIGKILL)


def _check(outcome: Outcome, victim: Victim, announced: str, name: str) -> None:
    problem = victim.check(announced)
    outcome.expect(problem is None, f"{name}: {problem}")


def _once(victim: Victim, delay: float | None, at_call: int | None = None) -> tuple[float | None, str]:
    """Run the operation once, and kill it after a delay, or at a call that changes files.

    Returns the width of the window in seconds, ``None`` if its end was not announced; and the announcements
    without their times.
    """
    reader, writer = os.pipe()
    errors = Path(tempfile.gettempdir()) / f"kills-{os.getpid()}.err"

    counter = _CallKill(at_call) if at_call else None

    def announce(text: bytes) -> None:
        if text == b"E" and counter:
            sys.setprofile(None)
            os.write(writer, f"calls {counter.calls}\n".encode())
        if text in (b"S", b"E"):
            os.write(writer, text + f" {time.perf_counter()}\n".encode())
        else:
            os.write(writer, text + b"\n")
        if text == b"S" and counter:
            sys.setprofile(counter.count)

    def work() -> None:
        os.close(reader)
        mutate_here()
        victim.work(announce)

    child = fork(work, err=errors)
    os.close(writer)
    text = b""
    while b"\nS " not in b"\n" + text and select.select([reader], [], [], _HANG_SECONDS)[0]:
        piece = os.read(reader, 4096)
        if not piece:
            break
        text += piece
    started = b"\nS " in b"\n" + text
    if delay is not None and started:
        _sleep_until(time.perf_counter() + delay)
        os.kill(child, signal.SIGKILL)
    while piece := os.read(reader, 4096):
        text += piece
    os.close(reader)
    wait(child, _HANG_SECONDS)
    failure = "" if started else errors.read_text(errors="replace")
    errors.unlink(missing_ok=True)
    times = {line[0]: float(line[2:]) for line in text.decode().splitlines() if line[:2] in ("S ", "E ")}
    lines = [line[0] if line[:2] in ("S ", "E ") else line for line in text.decode().splitlines()]
    return times["E"] - times["S"] if "E" in times else None, "\n".join(lines) + failure


def _sleep_until(moment: float) -> None:
    """Sleep to a fraction of a millisecond."""
    while (left := moment - time.perf_counter()) > 0:
        time.sleep(left / 2 if left > 0.0005 else 0)
