"""One check of the doctor, and the runner that turns a check's own failure into a line."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, TypeVar

from hubtune.text import without_keys

GOOD, NOTE, BAD = "good", "note", "bad"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Check:
    """What was checked, and what came of it.

    Attributes:
        name: a key that stays the same in later versions, such as ``pillow``.
        state: ``good``, ``note``: it costs something, or ``bad``: something does not work.
        finding: a sentence without a full stop.
        cure: a command or a setting that works as it is written; empty if there is nothing to do.
        group: heading of the line.
    """

    name: str
    state: str
    finding: str
    cure: str = ""
    group: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the keys of the JSON output."""
        return {name: str(getattr(self, name)) for name in ("name", "group", "state", "finding", "cure")}


@dataclass(frozen=True)
class Inspection:
    """A function that returns one or more checks of a group; ``name`` is for the case that it fails."""

    group: str
    name: str
    inspect: Callable[[], Check | Sequence[Check]]


def run_inspections(inspections: Iterable[Inspection], *, seconds: float) -> list[Check]:
    """Run inspections at the same time, and return their checks in order.

    One that raises, or does not answer within ``seconds`` of the start (a network disk that hangs), becomes a
    note.
    """
    end = time.monotonic() + seconds
    started = [(inspection, run_in_thread(inspection.inspect)) for inspection in inspections]
    return [check for inspection, future in started for check in _checks_of(inspection, future, end)]


def run_in_thread(function: Callable[[], _Result]) -> "Future[_Result]":
    """Run a function in a thread that does not keep the process alive."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # raised again where the result is used
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _checks_of(inspection: Inspection, future: "Future[Any]", end: float) -> list[Check]:
    try:
        result = future.result(max(0.0, end - time.monotonic()))
    except TimeoutError as error:
        result = _failed(inspection, str(error) or "no answer in time")
    except Exception as error:  # noqa: BLE001  # what is broken must not break the doctor
        result = _failed(inspection, without_keys(f"{type(error).__name__}: {error}".splitlines()[0]))
    checks = [result] if isinstance(result, Check) else result
    return [replace(check, group=inspection.group) for check in checks]


def _failed(inspection: Inspection, reason: str) -> Check:
    return Check(inspection.name, NOTE, f"{inspection.name} could not be checked: {reason}")
