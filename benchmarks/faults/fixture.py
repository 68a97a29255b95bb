"""What checks work on: small drawn images, lists, recipes, a finished run, and an interrupted one."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults.children import hubtune
from benchmarks.faults.outcome import Bench

RECIPE = """data: {{base: .}}
module: digitnet
train: {{epochs: {epochs}, batch_size: 6, device: cpu, engine: paddle,
        save_ckpt_interval: 1, log_interval: 1}}
run: runs/{name}
"""


def draw(root: Path, each: int = 10, side: int = 24) -> Path:
    """Draw three classes of noise, a folder for each."""
    random = np.random.default_rng(0)
    for name in "abc":
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = random.integers(0, 255, (side, side, 3), dtype="u1")
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def make_fixture(folder: Path) -> Path:
    """Make the folder that checks copy.

    Raises:
        RuntimeError: a command failed, although no fault was injected.
    """
    folder.mkdir(parents=True)
    draw(folder / "pics")
    for name, epochs in (("m", 1), ("half", 4)):
        (folder / f"{name}.yaml").write_text(RECIPE.format(epochs=epochs, name=name))
    for arguments, code, prepare in (
        (("split", "pics", "--val", "2", "--test", "2"), 0, None),
        (("finetune", "m.yaml"), 0, None),
        (("finetune", "half.yaml"), -signal.SIGKILL, lambda: at_step(6, kill_myself)),
    ):
        ended = hubtune(*arguments, cwd=folder, prepare=prepare)
        if ended.code != code:
            raise RuntimeError(f"hubtune {' '.join(arguments)} ended with {ended.code}: {ended.text}")
    return folder


def copy_fixture(bench: Bench, name: str = "work") -> Path:
    """Copy the fixture into the check's folder."""
    target = bench.folder / name
    shutil.copytree(bench.fixture, target, symlinks=True)
    return target


def at_step(number: int, action: Callable[[], None]) -> None:
    """In this process, a child: do something at the beginning of a training step, by its number from 0."""
    from hubtune.train.step import TrainStep

    run = TrainStep.run

    def run_and_act(self: TrainStep, batch: object, step: int, rate: float) -> object:
        if step == number:
            action()
        return run(self, batch, step, rate)

    TrainStep.run = run_and_act


def kill_myself(number: int = signal.SIGKILL) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)
