"""Time a training step with Paddle's defaults, with hubtune's settings, and with manual settings.

    python benchmarks/training_step.py --json training_step.json

Each measurement is a fresh process: forward, backward and an Adam update of a batch of random images at
224×224, one step to warm up, then the median of the others. Settings take turns within a round, so that other
load on the machine falls on all of them. The table has the medians over the rounds, and the ratio to Paddle's
defaults of the same run.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from hubtune.hardware import cpu

_TARGETS = {"resnet50_imagenet": 2.5, "paddle.vision:mobilenet_v2": 1.3}
_NEAR = 0.95  # of the best setting found by hand
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", cpu.MKL_TYPE)

_STEPS = """
import json, sys, time
name, kind, steps, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if kind == "hubtune":
    from hubtune.hardware.cpu import prepare
    prepare()
import numpy as np
import paddle
if kind.isdecimal():
    paddle.base.core.set_num_threads(int(kind))
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
classifier = Classifier(find(name).backbone, 6)
threads = None
if kind == "hubtune":
    from hubtune.hardware.throughput import set_threads, training_threads
    set_threads(threads := training_threads())
classifier.start_training(keep_statistics=False)
optimizer = paddle.optimizer.Adam(1e-4, parameters=classifier.parameters())
random = np.random.default_rng(0)
images = paddle.to_tensor(random.standard_normal((batch, 3, 224, 224)).astype(np.float32))
labels = paddle.to_tensor(np.arange(batch) % 6)
seconds = []
for _ in range(steps + 1):
    start = time.perf_counter()
    loss = paddle.nn.functional.cross_entropy(classifier(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()
    float(loss)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": sorted(seconds[1:])[steps // 2], "threads": threads}))
"""


def _settings() -> dict[str, tuple[str, dict[str, str]]]:
    """Name → number of threads of the process, and its environment variables."""
    cores = cpu.cores()
    settings: dict[str, tuple[str, dict[str, str]]] = {"defaults": ("0", {}), "hubtune": ("hubtune", {})}
    # More threads on the default path of a processor that has others took several times as long.
    for kind in cpu.processor().types or ("",):
        for threads in sorted({1, cores}):
            name = f"type {kind or 'default'}, threads {threads}"
            settings[name] = (str(threads), {cpu.MKL_TYPE: kind} if kind else {})
    return settings


def _measure(module: str, kind: str, variables: dict[str, str], steps: int, batch: int) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _STEPS, module, kind, str(steps), str(batch)],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--module", action="append", help="a module; default: ResNet50 and MobileNetV2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    document: dict[str, Any] = {
        "processor": cpu.processor().identity,
        "cores": cpu.cores(),
        "python": platform.python_version(),
        "batch_size": given.batch_size,
        "modules": {},
    }
    for module in given.module or _TARGETS:
        settings = _settings()
        seconds: dict[str, list[float]] = {name: [] for name in settings}
        loads, threads = [], None
        for _ in range(given.rounds):
            for name, (kind, variables) in settings.items():
                if hasattr(os, "getloadavg"):
                    loads.append(os.getloadavg()[0])
                found = _measure(module, kind, variables, given.steps, given.batch_size)
                seconds[name].append(found["seconds"])
                threads = found["threads"] or threads
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        by_hand = min(value for name, value in medians.items() if name not in ("defaults", "hubtune"))
        document["modules"][module] = {
            "seconds": seconds,
            "medians": medians,
            "threads": threads,
            "ratio_to_defaults": medians["defaults"] / medians["hubtune"],
            "ratio_to_best_by_hand": by_hand / medians["hubtune"],
            "load": loads,
        }
        _print(module, document["modules"][module], given.batch_size)
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _print(module: str, found: dict[str, Any], batch: int) -> None:
    click.echo(f"\n{module}, batch {batch}, hubtune chose {found['threads']} threads")
    if found["load"]:
        click.echo(f"load average while it ran: {min(found['load']):.1f} to {max(found['load']):.1f}")
    click.echo(f"{'':28}{'s a step':>10}{'pictures/s':>12}{'× defaults':>12}")
    for name, value in sorted(found["medians"].items(), key=lambda entry: -entry[1]):
        ratio = found["medians"]["defaults"] / value
        click.echo(f"{name:28}{value:>10.3f}{batch / value:>12.2f}{ratio:>12.2f}")
    target = _TARGETS.get(module)
    click.echo(
        f"hubtune: {found['ratio_to_defaults']:.2f} × the defaults"
        + (f" (target {target})" if target else "")
        + f", {found['ratio_to_best_by_hand']:.2f} × the best by hand (target {_NEAR})"
    )


if __name__ == "__main__":
    main()
