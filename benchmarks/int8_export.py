"""Exports in int8: their accuracy on several splits, their speed and their size.

    python benchmarks/int8_export.py PICTURES --weights mobilenet_v2.safetensors --format openvino

PICTURES has a folder of images for each class; the weights are of paddle.vision's mobilenet_v2. On each
split, strategy `frozen` trains a model, which is quantised as `hubtune export --int8` does it. Accuracies are
those of the test list, whose images are neither trained nor judged on; the rule of the command is applied to
the validation list. Beside the head that is solved again, the head of float32 is measured on features in
int8. Speed and size are those of the first split that the rule accepts, by `hubtune export --int8 --bench`.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from frozen_figures import MODULE

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

import hubtune
from hubtune.errors import CheckFailedError
from hubtune.export.formats import quantizer_for
from hubtune.export.int8 import quantize_model
from hubtune.export.int8_head import training_context
from hubtune.export.quantized_model import QuantizedModel
from hubtune.hardware.device import select_device
from hubtune.runs.callbacks import Callback


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--format", default="openvino", choices=["onnx", "openvino"])
    parser.add_argument("--seeds", type=int, default=10, help="splits: 20 %% validation, 20 %% test")
    given = parser.parse_args()
    select_device("cpu")
    module = hubtune.Module(MODULE, given.weights)
    rows: list[dict[str, Any]] = []
    speed: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="hubtune-int8-") as work:
        for seed in range(given.seeds):
            run = _train(module, given.pictures.resolve(), Path(work), seed)
            rows.append({"seed": seed, "load": os.getloadavg()[0], **_measure(run, given.format)})
            click.echo(json.dumps(rows[-1]), err=True)
            if speed is None and not rows[-1]["refused"]:
                speed = _speed(run, given.format, Path(work) / f"export-{seed}")
                click.echo(json.dumps(speed), err=True)
    click.echo(json.dumps({"splits": rows, "speed": speed, **_summary(rows)}, indent=1))


def _train(module: hubtune.Module, pictures: Path, work: Path, seed: int) -> Path:
    """Return a run on a split of its own."""
    lists = work / f"split-{seed}"
    options = ("--val", "20", "--test", "20", "--seed", str(seed), "--out", lists, "--json")
    command = [sys.executable, "-m", "hubtune", "split", pictures, *options]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    config = hubtune.RunConfig(
        checkpoint_dir=work / f"run-{seed}", strategy=hubtune.FrozenStrategy(), report=False
    )
    task = hubtune.ImageClassifierTask(module, hubtune.ListDataset(lists), config)
    return task.finetune_and_eval(callback=Callback()).path


def _measure(run: Path, form: str) -> dict[str, Any]:
    """Return accuracies on the test list in float32 and in int8, and what the rule says."""
    model = hubtune.load_model(run)
    quantizer = quantizer_for(form)
    with training_context(run, model) as context, tempfile.TemporaryDirectory() as folder:
        int8 = quantize_model(context, model, quantizer, Path(folder))
        same_head = QuantizedModel(model.classifier, model.card, None, int8.files, int8.backbone)
        tested = {
            name: _accuracy(each, context.data.examples["test"])
            for name, each in (("float32", model), ("int8", int8), ("int8, head of float32", same_head))
        }
    assert int8.accuracy is not None
    try:
        int8.accuracy.check()
        refused = None
    except CheckFailedError as error:
        refused = str(error)
    return {"test": tested, "validate": int8.accuracy.as_dict(), "refused": refused}


def _accuracy(model: hubtune.Model, entries: list[Any]) -> float:
    results = model.score([entry.path for entry in entries])
    right = [
        int(result.values.argmax()) == entry.label
        for entry, result in zip(entries, results, strict=True)
        if result.values is not None
    ]
    return sum(right) / len(right)


def _speed(run: Path, form: str, folder: Path) -> dict[str, Any] | None:
    try:
        export = hubtune.export_model(hubtune.load_model(run), folder, form, int8=True, bench=True)
    except CheckFailedError as error:
        return {"refused": str(error)}
    assert export.int8 is not None
    return {**export.int8.speed.as_dict(), "bench": [row.as_dict() for row in export.bench]}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over the splits, and paired differences to float32 in points, with standard errors."""
    found: dict[str, Any] = {"refused": sum(row["refused"] is not None for row in rows)}
    for name in rows[0]["test"]:
        values = [100 * row["test"][name] for row in rows]
        paired = [value - 100 * row["test"]["float32"] for value, row in zip(values, rows, strict=True)]
        found[name] = {"mean": statistics.fmean(values), "minus float32": statistics.fmean(paired)}
        if len(rows) > 1:
            found[name]["standard error"] = statistics.stdev(paired) / math.sqrt(len(paired))
    return found


if __name__ == "__main__":
    main()
