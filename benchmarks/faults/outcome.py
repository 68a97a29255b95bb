"""What a check has found, and what all checks get."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.children import Ended

_MOST_FAILURES = 5
_TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Outcome:
    """Result of a check.

    Attributes:
        tried: number of cases.
        evidence: what was measured, as text.
        failures: a line for each case that was not as promised.
        open: what of the promise is not built yet.
        skipped: the reason why it cannot run here.
    """

    tried: int = 0
    evidence: str = ""
    failures: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    skipped: str | None = None

    def expect(self, condition: object, failure: str) -> bool:
        """Count a case, and note a failure if the condition does not hold."""
        self.tried += 1
        if not condition:
            self.failures.append(failure)
        return bool(condition)

    def expect_end(self, name: str, ended: Ended, codes: int | Sequence[int], *words: str) -> bool:
        """Count a command: it ends in time, with one of the codes, with these words, without a traceback."""
        allowed = (codes,) if isinstance(codes, int) else tuple(codes)
        reason = ""
        if ended.timed_out:
            reason = f"hung for {ended.seconds:.0f} s"
        elif ended.code not in allowed:
            reason = f"exit {ended.code} instead of {'/'.join(map(str, allowed))}: {ended.last_line}"
        elif _TRACEBACK in ended.text or "C++ Traceback" in ended.text:
            reason = "a traceback"
        else:
            missing = [word for word in words if word.lower() not in ended.text.lower()]
            reason = f"does not say {missing[0]!a}: {ended.last_line}" if missing else ""
        return self.expect(not reason, f"{name}: {reason}")

    @property
    def shown_failures(self) -> list[str]:
        """The first failures, and the number of the others."""
        more = len(self.failures) - _MOST_FAILURES
        return self.failures[:_MOST_FAILURES] + ([f"… and {more} more"] if more > 0 else [])


@dataclass(frozen=True)
class Bench:
    """What a check gets.

    Attributes:
        folder: an empty folder for this check.
        fixture: a folder with drawn images, lists, recipes and runs, which a check copies.
        short: whether to try fewer cases.
        material: folder with awkward files that are not part of the project, if it is there.
    """

    folder: Path
    fixture: Path
    short: bool
    material: Path | None = None

    def count(self, full: int, short: int) -> int:
        """The number of cases of this form of the bench."""
        return short if self.short else full


@dataclass(frozen=True)
class Check:
    """A check of a row, by its name in the table."""

    name: str
    run: Callable[[Bench], Outcome]
    in_short: bool = True
