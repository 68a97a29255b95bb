"""``python -m benchmarks.faults``: proves row by row what hubtune promises about faults and attacks."""

import argparse
import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults import imports
from benchmarks.faults.children import call, set_mutation
from benchmarks.faults.fixture import make_fixture
from benchmarks.faults.mutations import MUTATIONS
from benchmarks.faults.outcome import Bench, Check, Outcome
from benchmarks.faults.report import FAILED, CheckResult, RowResult, table
from benchmarks.faults.rows import ROWS, Row

_MOST_SECONDS = 900.0


def run_check(row: Row, check: Check, bench: Bench) -> CheckResult:
    """Run a check in a child of its own, and return what it has found."""
    start = time.monotonic()
    bench.folder.mkdir(parents=True)
    os.sync()
    ended = call(lambda: check.run(bench), seconds=_MOST_SECONDS, mutated=False)
    outcome = ended.value
    if not isinstance(outcome, Outcome):
        how = "took too long" if ended.timed_out else f"ended with {ended.code}: {ended.text[-400:]}"
        outcome = Outcome(1, failures=[f"the check itself {how}"])
    return CheckResult(check.name, outcome, time.monotonic() - start)


def run_rows(
    rows: Sequence[Row], root: Path, *, short: bool, names: set[str] | None = None
) -> list[RowResult]:
    """Run the checks of rows, and report on stderr which one runs.

    Args:
        rows: the rows.
        root: a folder for the work, with the fixture in it.
        short: whether to try fewer cases.
        names: ``row.name`` of the only checks to run.
    """
    material = os.environ.get("HUBTUNE_TEST_MATERIAL")
    results = []
    for row in rows:
        checks = []
        for check in row.checks:
            key = f"{row.number}.{check.name}"
            if names is not None and key not in names:
                continue
            if short and not check.in_short and names is None:
                checks.append(CheckResult(check.name, Outcome(skipped="only in the full form"), 0.0))
                continue
            folder = root / f"{time.monotonic_ns()}" / key.replace(" ", "-")
            bench = Bench(folder, root / "fixture", short, Path(material) if material else None)
            checks.append(run_check(row, check, bench))
            found = checks[-1]
            print(
                f"{key}: {found.outcome.tried} tried, {len(found.outcome.failures)} failed, "
                f"{found.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        results.append(RowResult(row, checks))
    return results


def prove_mutations(chosen: Sequence[str], root: Path) -> tuple[str, bool]:
    """Take guards out one at a time; return the table, and whether every check went red.

    A check counts only if it fails more often with the guard out than with it in place.
    """
    lines = ["| guard taken out | check | failed before | failed after | noticed |", "|-|-|-|-|-|"]
    all_red = True
    for name in chosen:
        mutation = MUTATIONS[name]
        for key in mutation.checks:
            rows = [row for row in ROWS if str(row.number) == key.partition(".")[0]]
            counts = []
            for apply in (None, mutation.apply):
                set_mutation(apply)
                [result] = run_rows(rows, root, short=True, names={key})
                outcome = result.checks[0].outcome
                counts.append((len(outcome.failures), outcome.tried))
            set_mutation(None)
            red = counts[1][0] > counts[0][0]
            all_red &= red
            before, after = (f"{failed} of {tried}" for failed, tried in counts)
            lines.append(f"| {mutation.guard} | {key} | {before} | {after} | {'yes' if red else 'NO'} |")
    return "\n".join(lines), all_red


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench, print its table, and return the exit code: 1 if a row fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer cases: about three minutes")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="numbers of rows, or ROW.CHECK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    parser.add_argument(
        "--mutate",
        metavar="NAME",
        choices=["all", *MUTATIONS],
        help=f"take a guard out: all, {', '.join(MUTATIONS)}",
    )
    parser.add_argument(
        "--list", action="store_true", help="print the rows and their checks, and run nothing"
    )
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(f"{row.number} {row.fault}: {', '.join(c.name for c in row.checks)}" for row in ROWS))
        return 0
    if not hasattr(os, "pidfd_open") or not hasattr(select, "select"):
        print("The bench needs Linux.", file=sys.stderr)
        return 2
    rows, names = _chosen(given.only)
    imports.load()
    with tempfile.TemporaryDirectory(prefix="hubtune-faults-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        tempfile.tempdir = folder  # of the children, too: one that is killed removes nothing
        make_fixture(root / "fixture")
        if given.mutate:
            text, all_red = prove_mutations(
                list(MUTATIONS) if given.mutate == "all" else [given.mutate], root
            )
            print(text)
            return 0 if all_red else 1
        start = time.monotonic()
        results = run_rows(rows, root, short=given.short, names=names)
    print(table(results))
    print(f"{time.monotonic() - start:.0f} seconds")
    if given.json:
        given.json.write_text(json.dumps([result.as_dict() for result in results], indent=1) + "\n")
    return int(any(result.status == FAILED for result in results))


def _chosen(only: Sequence[str] | None) -> tuple[list[Row], set[str] | None]:
    """Return the rows, and the only checks of them, that were asked for."""
    if not only:
        return list(ROWS), None
    keys = {f"{row.number}.{check.name}": row for row in ROWS for check in row.checks}
    numbers = {str(row.number): row for row in ROWS}
    unknown = [name for name in only if name not in keys and name not in numbers]
    if unknown:
        raise SystemExit(f"There is no row or check {unknown[0]}: see --list")
    names = {key for key, row in keys.items() if key in only or str(row.number) in only}
    chosen = {int(name.partition(".")[0]) for name in only}
    return [row for row in ROWS if row.number in chosen], names


if __name__ == "__main__":
    sys.exit(main())
