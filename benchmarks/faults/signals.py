"""Ctrl-C and SIGTERM at any moment."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.children import Ended, hook_at_start, hubtune, program
from benchmarks.faults.fixture import at_step, copy_fixture, kill_myself
from benchmarks.faults.outcome import Bench, Outcome

_SECONDS = {signal.SIGINT: 10.0, signal.SIGTERM: 8.0}
_IMPORTS = (
    "click", "hubtune.cli.lazy", "numpy", "hubtune.cli.predict", "paddle", "paddle.base.core",
    "hubtune.models.classifier", "safetensors", "PIL.Image",
)  # fmt: skip
# Imported by the program at its start: sends it SIGINT at an import, which no clock decides.
_PRESSING = """
import os, signal, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == os.environ["FAULTS_IMPORT"] and not os.path.exists({note!r}):
        open({note!r}, "w").close()
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
"""
_PATIENCE = 5  # times as long, as other programs compute on the machine, too


def _train(work: Path, number: int, times: int = 1) -> Ended:
    """Resume the interrupted run, and send the process signals at its ninth step."""

    def act() -> None:
        for _ in range(times):
            kill_myself(number)
            time.sleep(0.01)

    return hubtune("finetune", "runs/half", "--resume", cwd=work, prepare=lambda: at_step(8, act))


def _stopped(bench: Bench, number: int, code: int) -> Outcome:
    outcome = Outcome()
    for times in (1, 2):
        work = copy_fixture(bench, f"{times}")
        ended = _train(work, number, times)
        name = f"{signal.Signals(number).name}, {times} of them"
        outcome.expect_end(name, ended, code, *(["Stopping", "--resume"] if times == 1 else []))
        outcome.expect(ended.seconds < _PATIENCE * _SECONDS[number], f"{name}: took {ended.seconds:.0f} s")
        steps = [int(path.name[5:]) for path in (work / "runs" / "half" / "checkpoints").glob("step-*")]
        outcome.expect(max(steps, default=0) >= (9 if times == 1 else 6), f"{name}: checkpoints {steps}")
        outcome.expect_end(f"{name}, resumed", hubtune("finetune", "runs/half", "--resume", cwd=work), 0)
    return outcome


def interrupt(bench: Bench) -> Outcome:
    """Press Ctrl-C in training: a checkpoint and the command to resume, twice: at once."""
    return _stopped(bench, signal.SIGINT, 130)


def terminate(bench: Bench) -> Outcome:
    """Send SIGTERM in training: a checkpoint, exit 143."""
    return _stopped(bench, signal.SIGTERM, 143)


def early(bench: Bench) -> Outcome:
    """Press Ctrl-C while the program imports what it needs: one word, exit 130."""
    outcome = Outcome()
    work = copy_fixture(bench)
    note = work / "sent"
    path = hook_at_start(work, _PRESSING.format(note=str(note)))
    reached = 0
    for name in _IMPORTS[:: bench.count(1, 3)]:
        note.unlink(missing_ok=True)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        words = ("predict", "pics", "--model", "runs/m", "--engine", "paddle")
        more = {"PYTHONPATH": path, "FAULTS_IMPORT": name}
        process = program(*words, cwd=work, more=more, **pipes)
        text = process.communicate(timeout=300)[0].decode(errors="replace")
        if not note.exists():
            continue  # another version imports other modules
        reached += 1
        outcome.expect(
            process.returncode == 130, f"Ctrl-C at the import of {name}: exit {process.returncode}"
        )
        bad = "Traceback" in text or "Error" in text
        outcome.expect(not bad, f"Ctrl-C at the import of {name}: a traceback or an error")
    outcome.expect(reached, "no import was reached")
    outcome.evidence = f"at {reached} imports of the start"
    return outcome


def other_commands(bench: Bench) -> Outcome:
    """Send SIGTERM and Ctrl-C to commands that do not train."""
    outcome = Outcome()
    work = copy_fixture(bench)
    model = ("--model", "runs/m", "--engine", "paddle")
    commands = {
        "predict": ("predict", "pics", *model),
        "evaluate": ("evaluate", "runs/m", "--engine", "paddle"),
        "embed": ("embed", "pics", "--module", "digitnet", "-o", "e.npz", "--engine", "paddle"),
        "split": ("split", "pics", "--val", "2", "--out", "l"),
        "scan": ("scan", "pics"),
    }
    for name, words in commands.items():
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            ended = hubtune(*words, cwd=work, prepare=lambda number=number: _signal_at_image(number))
            outcome.expect_end(f"{signal.Signals(number).name} in {name}", ended, code)
    return outcome


def _signal_at_image(number: int) -> None:
    """In this process, a child: send it a signal when its fifth image is decoded."""
    from hubtune.data.images import decode as module

    count = [0]

    def signalling(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            count[0] += 1
            if count[0] == 5:
                os.kill(os.getpid(), number)
                time.sleep(0.05)
            return function(*arguments, **options)

        return call

    from benchmarks.faults.imports import replace_everywhere

    for function in (module.read_content, module.open_image):
        replace_everywhere(function, signalling(function))
