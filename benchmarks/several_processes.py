"""What shards and processes do to the time of a training step on this machine.

    python benchmarks/several_processes.py PICTURES --weights FILE

PICTURES has a folder for each class. Each way trains a few steps of MobileNetV2, in turn for several rounds;
the median time of a step and the CPU time of the whole run are printed, as ratios to the first way, too.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import hubtune

WAYS = {
    "1 process, whole batches, 1 thread": (("OMP_NUM_THREADS", "1"), (), 1),
    "1 process, whole batches, threads as chosen": (None, (), 1),
    "1 process, 8 shards": (None, ("train.shards=8",), 1),
    "2 processes, 8 shards": (None, ("train.shards=8",), 2),
    "4 processes, 8 shards": (None, ("train.shards=8",), 4),
    "2 processes, model averaging every 4 steps": (None, ("train.model_average_interval=4",), 2),
}


def measure(folder: Path, recipe: Path, way: str, number: int) -> tuple[float, float]:
    """Return the median seconds of a step, without the first, and the CPU seconds of the run."""
    variable, settings, processes = WAYS[way]
    run = folder / f"run-{number}"
    options = [word for setting in (*settings, f"run={run}") for word in ("-o", setting)]
    command = [sys.executable, "-W", "ignore", "-m", "hubtune", "finetune", str(recipe), *options]
    environment = {**os.environ, **dict([variable] if variable else [])}
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*command, "--device", "cpu", "--nproc", str(processes)],
        env=environment,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = re.findall(r"^\[(.*?)\] \[   TRAIN\] - step", (run / "train.log").read_text(), re.MULTILINE)
    times = [datetime.strptime(line, "%Y-%m-%d %H:%M:%S,%f") for line in lines]
    steps = [(after - before).total_seconds() for before, after in pairwise(times)]
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return statistics.median(steps), cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hubtune.split(given.pictures, val=0, test=0).write(folder / "lists")
        count = len((folder / "lists" / "train_list.txt").read_text().splitlines())
        epochs = -(-given.steps * 32 // count)
        recipe = folder / "job.yaml"
        recipe.write_text(
            f"data: {{base: {folder / 'lists'}, size: {given.size}}}\n"
            f"module: {{name: 'paddle.vision:mobilenet_v2', weights: {given.weights.absolute()}}}\n"
            f"train: {{epochs: {epochs}, batch_size: 32, log_interval: 1}}\n"
            "report: off\nreference: off\n"
        )
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for turn in range(given.rounds):
            for number, way in enumerate(WAYS):
                found[way].append(measure(folder, recipe, way, turn * len(WAYS) + number))
                print(f"{turn} {way}: {found[way][-1]}", file=sys.stderr)
        base = statistics.median(step for step, _ in found[next(iter(WAYS))])
        for way, figures in found.items():
            step = statistics.median(step for step, _ in figures)
            cpu = statistics.median(cpu for _, cpu in figures)
            print(f"{way:45}  {step:6.2f} s a step ({step / base:.2f} ×)  {cpu:6.1f} CPU s a run")


if __name__ == "__main__":
    main()
