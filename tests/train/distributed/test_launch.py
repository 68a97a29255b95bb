"""Processes are started, watched, named when they die, and restarted."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hubtune.errors import MachineError, RankFailedError
from hubtune.train.distributed import launch
from hubtune.train.distributed.launch import RESTARTABLE, SUPERVISED, run_processes


def _main():
    """What each process does: the first argument says what, the second is a folder."""
    what, folder, *more = sys.argv[1:]
    rank = os.environ["PADDLE_TRAINER_ID"]
    if what == "stop" and rank == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Path(folder, f"rank-{rank}.txt").open("a") as file:
        variables = {name: os.environ.get(name) for name in ("https_proxy", SUPERVISED, "HUBTUNE_JOB")}
        file.write(f"{os.environ['PADDLE_TRAINERS_NUM']} {more} {variables}\n")
    if what == "die-once" and "again" not in more and rank == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "die" and rank == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stopped" and rank == "1":
        time.sleep(600)
    if what == "stop":
        if rank == "1":
            time.sleep(600)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
        while not Path(folder, "rank-1.txt").exists():
            time.sleep(0.05)
        os.kill(int(more[0]), signal.SIGTERM)
        time.sleep(600)
    if what == "code":
        os._exit(3)
    os._exit(RESTARTABLE if what in ("die", "stopped") or (what == "die-once" and not more) else 0)


def _run(what, folder, *more, max_restarts=1):
    def arguments(restarted):
        return [what, str(folder), *more, *(["again"] if restarted else [])]

    return run_processes(_main, arguments, 2, "cpu", max_restarts=max_restarts)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(launch, "_GRACE_SECONDS", 0.5)


def test_processes_get_rank_job_and_proxy(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    assert _run("work", tmp_path) == 0
    lines = [(tmp_path / f"rank-{rank}.txt").read_text() for rank in (0, 1)]
    assert lines[0] == lines[1]
    assert lines[0].startswith("2 [] {'https_proxy': 'http://proxy:1', 'HUBTUNE_SUPERVISED': '1'")


def test_the_exit_code_is_that_of_the_processes(tmp_path):
    assert _run("code", tmp_path) == 3
    assert len((tmp_path / "rank-0.txt").read_text().splitlines()) == 1, "not restarted"


def test_a_job_of_which_a_process_died_is_restarted(tmp_path, caplog):
    assert _run("die-once", tmp_path) == 0
    assert "has ended by SIGKILL: the job is restarted from its last checkpoint (1 of 1)" in caplog.text
    starts = (tmp_path / "rank-1.txt").read_text().splitlines()
    assert ["'again'" in line for line in starts] == [False, True]
    assert starts[0].partition("HUBTUNE_JOB")[2] != starts[1].partition("HUBTUNE_JOB")[2]


def test_after_the_last_restart_the_process_that_died_is_named(tmp_path):
    with pytest.raises(RankFailedError, match=r"Rank 1 of 2 \(process \d+\) has ended by SIGKILL, after 1"):
        _run("die", tmp_path)
    with pytest.raises(RankFailedError, match="and the job is not restarted"):
        _run("die", tmp_path, max_restarts=0)


def test_a_process_that_does_not_answer_is_killed_and_named(tmp_path):
    with pytest.raises(RankFailedError, match=r"Rank 1 \(process \d+\) does not answer, and was killed"):
        _run("stopped", tmp_path, max_restarts=0)


def test_a_stopped_job_ends_with_the_code_of_rank_0_although_another_does_not_answer(tmp_path):
    assert _run("stop", tmp_path, str(os.getpid())) == 143
    assert len((tmp_path / "rank-1.txt").read_text().splitlines()) == 1, "not restarted"


@pytest.mark.parametrize(("system", "name"), [("win32", "Windows"), ("darwin", "macOS")])
def test_systems_without_paddle_s_processes_are_named(monkeypatch, system, name):
    monkeypatch.setattr(launch.sys, "platform", system)
    with pytest.raises(MachineError, match=f"in several processes on {name}: leave out --nproc"):
        run_processes(_main, lambda restarted: [], 2, "cpu", max_restarts=0)
