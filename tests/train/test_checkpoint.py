"""A run that is killed at any moment and resumed ends exactly as the undisturbed one."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
from support.callbacks import AtStep, press_ctrl_c
from support.split_folder import draw_split
from support.tiny_task import weight_bytes
from support.waiting import HANG_SECONDS, wait_for

from hubtune.errors import MachineError, ModelError, StoppedError, UsageError
from hubtune.train import checkpoint

# Trains in a process of its own, and kills it at a step where that is asked for.
_PROGRAM = """
import ast, os, signal, sys
from hubtune import ImageClassifierTask, ListDataset, Module, RunConfig
from hubtune.runs.callbacks import Callback
from hubtune.train.checkpoint import Checkpoints

data, folder, kill_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "resume"
options = {"num_epoch": 3, **ast.literal_eval(sys.argv[5])}

class Killer(Callback):
    steps = 0
    def advance(self, images, *, loss=None, accuracy=None):
        self.steps += 1
        if self.steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

config = RunConfig(batch_size=8, checkpoint_dir=folder, learning_rate=3e-3, eval_interval=3,
                   log_interval=2, augment="crop", seed=5, **options)
task = ImageClassifierTask(Module("smallnet", weights=None), ListDataset(data), config)
task.finetune_and_eval(resume=resume, callback=Killer())
"""

_STEPS = 12  # 3 epochs of 4


def _train(data, folder, *, kill_at=0, resume=False, **options):
    arguments = (data, folder, kill_at, "resume" if resume else "start", {"save_ckpt_interval": 1, **options})
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, *map(str, arguments)]
    # The same number of threads, on which the last bits depend; a busy machine may choose another.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGKILL if kill_at else 0), done.stderr


def _digests(run):
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
    data = draw_split(tmp_path_factory.mktemp("shared"), {"a": 18, "b": 18}, validate=5, test=0)
    _train(data, data / "whole")
    return data, _digests(data / "whole")


@pytest.mark.parametrize(
    ("kills", "is_damaged"),
    [
        ([2], False),
        pytest.param([6], True, marks=pytest.mark.slow),
        pytest.param([3, 4], False, marks=pytest.mark.slow),
    ],
)
def test_killed_at_a_step_and_resumed_equals_undisturbed(shared, tmp_path, kills, is_damaged):
    data, expected = shared
    assert "best_model/model.safetensors" in expected
    assert f"checkpoints/step-{_STEPS}/optim.safetensors" in expected
    for number, kill_at in enumerate(kills):
        _train(data, tmp_path / "run", kill_at=kill_at, resume=number > 0)
    if is_damaged:
        folders = (tmp_path / "run" / "checkpoints").iterdir()
        file = max(folders, key=lambda path: int(path.name[5:])) / "optim.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    _train(data, tmp_path / "run", resume=True, workers=1)
    assert _digests(tmp_path / "run") == expected


@pytest.mark.slow
@pytest.mark.parametrize("interval", [None, 5])
def test_killed_at_every_step_and_resumed_equals_undisturbed(shared, tmp_path, interval):
    data, options = shared[0], {"save_ckpt_interval": interval}
    _train(data, tmp_path / "whole", **options)
    expected = _digests(tmp_path / "whole")
    for kill_at in range(1, _STEPS + 1):
        folder = tmp_path / f"killed{kill_at}"
        workers = 1 + kill_at % 4
        _train(data, folder, kill_at=kill_at, workers=workers, **options)
        _train(data, folder, resume=True, workers=5 - workers, **options)
        assert _digests(folder) == expected, f"killed at step {kill_at}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT and SIGTERM for a single process")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_prints_the_command_that_resumes(shared, tmp_path, number, exit_code):
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(
        f"data: {{base: {shared[0]}}}\nmodule: {{name: smallnet, weights: none}}\n"
        "strategy: scratch\ntrain: {epochs: 4000, batch_size: 8}\nrun: stopped\n"
    )
    command = [sys.executable, "-c", "from hubtune.cli.main import main; main()", "finetune", str(recipe)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    log = tmp_path / "stopped" / "train.log"
    wait_for(lambda: process.poll() is not None or (log.exists() and "step 10 " in log.read_text()))
    process.send_signal(number)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == exit_code, errors
    assert "Traceback" not in errors
    assert "Stopping after this batch, saving …" in errors
    assert errors.rstrip().endswith("Continue with: hubtune finetune stopped --resume")
    states = (tmp_path / "stopped" / "checkpoints").glob("*/state.json")
    step = max(json.loads(state.read_text())["step"] for state in states)
    assert f"Stopped after step {step} of 16000" in errors


def _names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_run_resumes_from_the_checkpoint_that_is_named_or_refuses_a_damaged_one(run, tmp_path):
    resume = partial(run, resume=True, save_ckpt_interval=2)
    whole = run("whole")
    with pytest.raises(StoppedError):
        run(callback=AtStep(5, press_ctrl_c), save_ckpt_interval=2)
    folder = tmp_path / "run"
    assert _names(folder) == ["step-4", "step-5"]
    file = folder / "checkpoints" / "step-5" / "optim.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    for step, reason in ((5, "optim.safetensors is damaged"), (3, "there is no such checkpoint")):
        with pytest.raises(
            ModelError, match=rf"step-{step} cannot be used: {reason}.*; there are .* steps 4$"
        ):
            resume(checkpoint=step)
    file.write_bytes(content)
    with pytest.raises(StoppedError):
        resume(checkpoint=4, callback=AtStep(5, press_ctrl_c))
    resumed = resume(checkpoint=4)
    assert weight_bytes(resumed) == weight_bytes(whole)
    with pytest.raises(UsageError, match="has finished"):
        resume(checkpoint=4)
    with pytest.raises(UsageError, match="begins now"):
        resume("other", checkpoint=4)


def _fill_disk(monkeypatch, *steps):
    """Let the disk be full whenever a checkpoint of these steps is written."""
    write = checkpoint.write_checked

    def fail(folder, files):
        if int(folder.name[5:]) in steps:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise MachineError(f"{folder} could not be written") from full
        write(folder, files)

    monkeypatch.setattr(checkpoint, "write_checked", fail)


@pytest.mark.slow
def test_a_full_disk_stops_a_run_or_is_outlived_except_by_the_last_checkpoint(
    run, tmp_path, monkeypatch, told
):
    options = {"save_ckpt_interval": 2}
    for steps, on_disk_full, ends in (((2,), "stop", True), ((2, 4), "warn", False), ((4, 6), "warn", True)):
        told.clear()
        name = f"run{steps}-{on_disk_full}"
        with monkeypatch.context() as patch:
            _fill_disk(patch, *steps)
            with pytest.raises(MachineError, match=f"step-{steps[-1]}") if ends else nullcontext():
                run(name, on_disk_full=on_disk_full, **options)
        left_out = [step for step in steps if f"the checkpoint of step {step} is left out" in told.text]
        assert left_out == ([] if on_disk_full == "stop" else [step for step in steps if step < 6])
        if ends:
            run(name, resume=True, **options)
    assert weight_bytes(run("plain", **options)) == weight_bytes(run(name, resume=True, **options))


def test_little_space_is_said_before_training(run, monkeypatch, told):
    for free, warned in ((10_000, True), (10**12, False)):
        told.clear()
        monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        run(epochs=1)
        assert ("10 kB are free" in told.text and "three checkpoints take about" in told.text) == warned


@pytest.mark.parametrize(
    ("keep", "during", "after"),
    [
        ("auto", [8, 6], [8]),
        ("all", [8, 6, 4, 2], [8, 6, 4, 2]),
        ("last 3", [8, 6, 4], [8, 6, 4]),
        ("last 1", [8], [8]),
        ("best", [8, 6, 4], [8, 4]),
    ],
)
def test_the_checkpoints_that_the_recipe_names_stay(tmp_path, keep, during, after):
    for step in (2, 4, 6, 8):
        (tmp_path / f"step-{step}").mkdir()
    checkpoints = checkpoint.Checkpoints(tmp_path, keep)
    for count, expected in ((2, during), (1, after)):
        checkpoints.prune(count, best_step=3)
        assert sorted((int(folder.name[5:]) for folder in tmp_path.iterdir()), reverse=True) == expected
