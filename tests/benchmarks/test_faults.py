"""The bench of faults: its table is complete, and it goes red without a guard."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.scripts import ROOT

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bench needs Linux")
faults = pytest.importorskip("benchmarks.faults.rows", exc_type=ImportError)

from benchmarks.faults import kills, mutations, power, report  # noqa: E402  # below the repository's root
from benchmarks.faults.children import call, set_mutation  # noqa: E402
from benchmarks.faults.outcome import Bench, Check, Outcome  # noqa: E402


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "check").mkdir()
    yield Bench(tmp_path / "check", tmp_path / "fixture", short=True)
    set_mutation(None)


def test_every_row_has_checks_or_says_what_is_missing():
    assert [row.number for row in faults.ROWS] == list(range(1, 37))
    for row in faults.ROWS:
        assert bool(row.checks) != bool(row.open), row.number
        names = [check.name for check in row.checks]
        assert len(set(names)) == len(names), row.number


def test_every_mutation_names_checks_that_exist():
    keys = {f"{row.number}.{check.name}" for row in faults.ROWS for check in row.checks}
    for name, mutation in mutations.MUTATIONS.items():
        assert mutation.checks and set(mutation.checks) <= keys, name


@pytest.mark.parametrize("name", [None, "fsync", "rename"])
def test_the_order_of_writes_goes_red_without_its_guards(bench, name):
    if name:
        set_mutation(mutations.MUTATIONS[name].apply)
    outcome = power.order_of_writes(bench)
    assert outcome.tried == 4
    assert bool(outcome.failures) == bool(name), outcome.failures


def test_a_kill_is_counted_as_inside_only_without_the_end(bench):
    import time

    seen = []

    def work(announce):
        announce(b"S")
        time.sleep(0.05)
        announce(b"E")

    def check(announced):
        seen.append(announced.splitlines())

    outcome = kills.run_kills(kills.Victim(work, check), 8)
    inside = sum(lines == ["S"] for lines in seen)
    assert not outcome.failures
    assert f"{inside} inside" in outcome.evidence


def test_a_child_that_hangs_fails_or_ends_is_reported():
    import os
    import signal
    import time

    assert call(lambda: 7).value == 7
    assert call(lambda: time.sleep(60), seconds=0.2).timed_out
    assert call(lambda: os.kill(os.getpid(), signal.SIGKILL)).code == -signal.SIGKILL
    failed = call(lambda: 1 // 0)
    assert (failed.code, failed.value) == (1, None)
    assert "ZeroDivisionError" in failed.err


def test_the_report_names_each_state_and_failure():
    rows = [
        report.RowResult(
            faults.Row(1, "one", (Check("a", None),)), [report.CheckResult("a", Outcome(3), 1.0)]
        ),
        report.RowResult(
            faults.Row(2, "two", (Check("b", None),)),
            [report.CheckResult("b", Outcome(2, failures=["x: exit 1"]), 1.0)],
        ),
        report.RowResult(faults.Row(3, "three", open="not built"), []),
        report.RowResult(
            faults.Row(4, "four", (Check("c", None),)),
            [report.CheckResult("c", Outcome(skipped="no root"), 0.0)],
        ),
    ]
    assert [row.status for row in rows] == ["ok", "FAILED", "open", "not run here"]
    text = report.table(rows)
    for word in (
        "FAILED x: exit 1",
        "not built",
        "no root",
        "5 cases; rows: 1 ok, 1 FAILED, 1 open, 1 not run here",
    ):
        assert word in text
    document = json.loads(json.dumps([row.as_dict() for row in rows]))
    assert document[1]["checks"][0]["failures"] == ["x: exit 1"]


def test_the_program_lists_its_rows_and_refuses_unknown_ones():
    command = [sys.executable, "-m", "benchmarks.faults"]
    done = subprocess.run([*command, "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 36
    done = subprocess.run([*command, "--only", "99"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no row or check 99" in done.stderr


def test_files_of_the_bench_stay_small():
    for path in Path(ROOT / "benchmarks" / "faults").glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 350, path.name
