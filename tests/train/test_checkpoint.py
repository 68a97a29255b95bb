"""A run that was killed at any moment and resumed ends exactly as the undisturbed one."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.images import draw_tree

from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split

# Trains in a process of its own and, where asked to, kills it at a step.
_PROGRAM = """
import os, signal, sys
from hubtune import ImageClassifierTask, ListDataset, Module, RunConfig, RulesStrategy
from hubtune.runs.callbacks import Callback

data, folder, kill_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "resume"
options = eval(sys.argv[5])

class Killer(Callback):
    steps = 0
    def advance(self, pictures, *, loss=None, accuracy=None):
        self.steps += 1
        if self.steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

config = RunConfig(num_epoch=3, batch_size=8, checkpoint_dir=folder, learning_rate=3e-3, eval_interval=3,
                   log_interval=2, augment="crop", seed=5, **options)
task = ImageClassifierTask(Module("smallnet", weights=None), ListDataset(data), config)
task.finetune_and_eval(resume=resume, observer=Killer())
"""

_STEPS = 12  # 3 epochs of 4


@pytest.fixture
def data(tmp_path, draw_photos):
    scan = scan_classes(draw_photos(tmp_path / "pics", {"a": 18, "b": 18}))
    write_split(make_split(scan, SplitRequest(validate=SplitSize(5))), tmp_path, {"seed": 0})
    return tmp_path


def _train(data, folder, *, kill_at=0, resume=False, **options):
    process = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", _PROGRAM, str(data), str(folder), str(kill_at)),
            *("resume" if resume else "start", repr(options)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if kill_at:
        assert process.returncode == -signal.SIGKILL, process.stderr
    else:
        assert process.returncode == 0, process.stderr


def _sums(run: Path):
    """Everything that a resumed run must share with the undisturbed one."""
    files = [
        *run.glob("best_model/*"),
        *run.glob("checkpoints/*/*"),
        run / "metrics.jsonl",
        run / "result.json",
    ]
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Data, and what an undisturbed run on it leaves; the run saves after each step."""
    data = tmp_path_factory.mktemp("shared")
    scan = scan_classes(draw_tree(data / "pics", {"a": 18, "b": 18}))
    write_split(make_split(scan, SplitRequest(validate=SplitSize(5))), data, {"seed": 0})
    _train(data, data / "whole", save_ckpt_interval=1)
    return data, _sums(data / "whole")


@pytest.mark.parametrize("kill_at", [2, 7])  # between evaluations, and after one
def test_killed_at_a_step_and_resumed_equals_undisturbed(shared, kill_at):
    data, expected = shared
    assert "best_model/model.safetensors" in expected
    assert f"checkpoints/step-{_STEPS}/optim.safetensors" in expected
    folder = data / f"killed{kill_at}"
    _train(data, folder, kill_at=kill_at, save_ckpt_interval=1)
    _train(data, folder, resume=True, save_ckpt_interval=1, workers=1)
    assert _sums(folder) == expected


def test_resume_passes_over_a_damaged_checkpoint(shared):
    data, expected = shared
    folder = data / "damaged"
    _train(data, folder, kill_at=6, save_ckpt_interval=1)
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name[5:]))
    file = newest / "optim.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    _train(data, folder, resume=True, save_ckpt_interval=1)
    assert _sums(folder) == expected


@pytest.mark.slow
def test_killed_again_and_again_equals_undisturbed(shared):
    data, expected = shared
    folder = data / "again"
    _train(data, folder, kill_at=3, save_ckpt_interval=1)
    _train(data, folder, kill_at=4, resume=True, save_ckpt_interval=1)
    _train(data, folder, resume=True, save_ckpt_interval=1)
    assert _sums(folder) == expected


@pytest.mark.slow
@pytest.mark.parametrize("interval", [None, 5])
def test_killed_at_every_step_and_resumed_equals_undisturbed(data, interval):
    _train(data, data / "whole", save_ckpt_interval=interval)
    expected = _sums(data / "whole")
    for kill_at in range(1, _STEPS + 1):
        folder = data / f"killed{kill_at}"
        workers = 1 + kill_at % 4
        _train(data, folder, kill_at=kill_at, workers=workers, save_ckpt_interval=interval)
        _train(data, folder, resume=True, workers=5 - workers, save_ckpt_interval=interval)
        assert _sums(folder) == expected, f"killed at step {kill_at}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a single process")
def test_ctrl_c_saves_and_prints_the_command_that_resumes(data, tmp_path):
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(
        f"data: {{base: {data}}}\nmodule: {{name: smallnet, weights: none}}\n"
        "strategy: scratch\ntrain: {epochs: 400, batch_size: 8}\nrun: stopped\n"
    )
    arguments = [sys.executable, "-c", "from hubtune.cli.main import main; main()", "finetune", str(recipe)]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "stopped" / "train.log"
    _wait_for(lambda: log.exists() and "step 10 " in log.read_text())
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - start < 10
    assert process.returncode == 130
    assert "Stopping after this batch, saving …" in errors
    assert errors.rstrip().endswith("Go on with: hubtune finetune stopped --resume")
    assert "Traceback" not in errors
    states = (tmp_path / "stopped" / "checkpoints").glob("*/state.json")
    step = max(json.loads(state.read_text())["step"] for state in states)
    assert f"Stopped after step {step} of 1600" in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM handlers")
def test_sigterm_saves_and_exits_with_143(data, tmp_path):
    folder = tmp_path / "stopped"
    program = (
        _PROGRAM.replace("num_epoch=3", "num_epoch=400").replace(
            "task.finetune_and_eval(", "import hubtune\ntry: task.finetune_and_eval("
        )
        + "except hubtune.StoppedError as error: sys.exit(error.exit_code)"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", program, str(data), str(folder), "0", "start", "{}"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    log = folder / "train.log"
    _wait_for(lambda: log.exists() and "step 10 " in log.read_text())
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert list((folder / "checkpoints").iterdir())
    assert "Traceback" not in errors


def _wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
