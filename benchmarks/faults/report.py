"""The table of rows, and its JSON form."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.faults.outcome import Outcome
from benchmarks.faults.rows import Row

OK, FAILED, OPEN, NOT_HERE = "ok", "FAILED", "open", "not run here"


@dataclass(frozen=True)
class CheckResult:
    """What a check has found, and how long it took in seconds."""

    name: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class RowResult:
    """A row with the results of its checks."""

    row: Row
    checks: Sequence[CheckResult]

    @property
    def status(self) -> str:
        """``ok``, ``FAILED``, ``open`` or ``not run here``."""
        outcomes = [check.outcome for check in self.checks]
        if any(outcome.failures for outcome in outcomes):
            return FAILED
        if not outcomes or all(outcome.open and not outcome.tried for outcome in outcomes):
            return OPEN
        if all(outcome.skipped for outcome in outcomes):
            return NOT_HERE
        return OK

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON can hold it."""
        return {
            "row": self.row.number,
            "fault": self.row.fault,
            "status": self.status,
            "reason": self.row.open,
            "checks": [
                {"name": check.name, "seconds": round(check.seconds, 1), **asdict(check.outcome)}
                for check in self.checks
            ],
        }


def table(results: Sequence[RowResult]) -> str:
    """Return the table as text: a line for each check, and a line for each failure below it."""
    lines = [f"{'row':>3}  {'status':<12}  {'tried':>6}  what was tried, and the evidence"]
    for result in results:
        tried = sum(check.outcome.tried for check in result.checks)
        lines.append(f"{result.row.number:>3}  {result.status:<12}  {tried:>6}  {result.row.fault}")
        indent = " " * 27
        if result.row.open:
            lines.append(f"{indent}{result.row.open}")
        for check in result.checks:
            lines += [indent + line for line in _check_lines(check)]
    counts = {status: sum(result.status == status for result in results) for status in _STATUSES}
    tried = sum(check.outcome.tried for result in results for check in result.checks)
    lines.append("")
    lines.append(f"{tried:,} cases; rows: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n))
    return "\n".join(lines)


def _check_lines(check: CheckResult) -> list[str]:
    outcome = check.outcome
    if outcome.skipped:
        return [f"{check.name}: not run here: {outcome.skipped}"]
    evidence = f"; {outcome.evidence}" if outcome.evidence else ""
    first = f"{check.name}: {outcome.tried} tried, {len(outcome.failures)} failed{evidence}"
    return [
        f"{first} ({check.seconds:.0f} s)",
        *(f"  FAILED {failure[:300]}" for failure in outcome.shown_failures),
        *(f"  open: {part}" for part in outcome.open),
    ]


_STATUSES = (OK, FAILED, OPEN, NOT_HERE)
