"""Ranks of a job with several processes that die or stop at any moment."""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.children import Ended, program
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome

_SETTINGS = ("train.shards=2", "train.epochs=6", "train.save_ckpt_interval=2")
_STOP_SECONDS, _NAME_SECONDS = 15.0, 60.0
_PATIENCE = 3  # times as long, as other programs compute on the machine, too
_HANG_SECONDS = 600.0


class _Job:
    """``hubtune finetune`` with two processes, as a program of its own."""

    def __init__(self, work: Path, name: str) -> None:
        self.run = work / "runs" / name
        self._err = work / f"{name}.err"
        options = [word for setting in _SETTINGS for word in ("-o", setting)]
        words = ("finetune", "half.yaml", "-o", f"run=runs/{name}", *options, "--device", "cpu")
        with self._err.open("wb") as err:
            self._process = program(*words, "--nproc", 2, cwd=work, stdout=subprocess.DEVNULL, stderr=err)
        self._start = time.monotonic()

    @property
    def text(self) -> str:
        return self._err.read_text(errors="replace")

    def ranks(self) -> list[int]:
        """Return the process numbers of the ranks."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self._process.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return sorted(int(number) for number in re.findall(r"(\d+) .*spawn_main", listed))

    def wait_for_training(self) -> None:
        self.wait_for(lambda: (self.run / "checkpoints").is_dir())

    def wait_for(self, condition: Callable[[], bool]) -> float:
        """Wait, and return the seconds it took."""
        start = time.monotonic()
        while not condition() and self._process.poll() is None:
            if time.monotonic() - start > _HANG_SECONDS:
                break
            time.sleep(0.02)
        return time.monotonic() - start

    def end(self) -> Ended:
        try:
            code, timed_out = self._process.wait(_HANG_SECONDS), False
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            code, timed_out = self._process.wait(), True
        return Ended(code, None, "", self.text, timed_out, time.monotonic() - self._start, 0.0)

    def digest(self) -> str:
        file = self.run / "best_model" / "model.safetensors"
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def killed(bench: Bench) -> Outcome:
    """Kill each rank at moments spread over training: all stop, and the job goes on to the same weights."""
    return _disturbed(bench, signal.SIGKILL, "has ended by SIGKILL", _STOP_SECONDS, bench.count(10, 1))


def stopped(bench: Bench) -> Outcome:
    """Stop each rank in training: it is named within a minute, and the job goes on to the same weights."""
    return _disturbed(bench, signal.SIGSTOP, "has not answered for", _NAME_SECONDS, 1)


def _disturbed(bench: Bench, number: int, words: str, limit: float, moments: int) -> Outcome:
    outcome = Outcome()
    work = copy_fixture(bench)
    whole = _Job(work, "whole")
    whole.wait_for_training()
    start = time.monotonic()
    if not outcome.expect_end("the undisturbed job", whole.end(), 0):
        return outcome
    duration = time.monotonic() - start
    longest = 0.0
    for rank in (0, 1):
        for moment in range(moments):
            job = _Job(work, f"{rank}-{moment}")
            job.wait_for_training()
            time.sleep(duration / 2 * moment / moments)
            ranks = job.ranks()
            if len(ranks) < 2:
                job.end()
                continue  # it was faster than the undisturbed one
            os.kill(ranks[rank], number)
            seconds = job.wait_for(lambda job=job: words in job.text)
            longest = max(longest, seconds)
            name = f"rank {rank}, moment {moment}"
            if outcome.expect_end(name, job.end(), 0, words, "is restarted from its last checkpoint"):
                outcome.expect(seconds < _PATIENCE * limit, f"{name}: named after {seconds:.0f} s")
                outcome.expect(job.digest() == whole.digest(), f"{name}: other weights than undisturbed")
    outcome.expect(longest, "no rank was disturbed")
    outcome.evidence = f"named after {longest:.1f} s at most; weights compared by SHA-256"
    return outcome
