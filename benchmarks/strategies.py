"""Accuracy and time of several ways of fine-tuning, on the test lists of several splits.

    python benchmarks/strategies.py PICTURES --weights mobilenet_v2.safetensors --out found.jsonl \
        --way frozen="strategy=frozen" --way full="strategy=default_finetune train.epochs=5"

PICTURES has a folder of images for each class; the weights are of paddle.vision's mobilenet_v2. A way is a
name with options of `hubtune finetune -o`. Every run is a fresh process with an empty cache. Runs that are
already in the file are not repeated, so that a long series can be stopped and continued. The table has the
means over the splits, and the paired difference to the first way with its standard error.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from frozen_figures import MODULE, run


def main() -> None:
    """Run what is missing in the file, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("--module", default=MODULE)
    parser.add_argument("--weights", type=Path, help="the module's weights, where it does not bring its own")
    parser.add_argument("--way", action="append", required=True, metavar="NAME=OPTIONS")
    parser.add_argument("--seeds", type=int, default=10, help="splits by --val 10 --test 20")
    parser.add_argument("--per-class", type=int, help="use the first so many pictures of a class only")
    parser.add_argument("--out", type=Path, required=True, help="a JSON line a run")
    given = parser.parse_args()
    ways = dict(way.split("=", 1) for way in given.way)
    images = given.pictures.resolve()
    module = [f"module={given.module}"]
    module += [f"module.weights={given.weights.resolve()}"] if given.weights else []
    with tempfile.TemporaryDirectory(prefix="hubtune-strategies-") as work:
        home = Path(work)
        if given.per_class:
            images = some_pictures(images, given.per_class, home / "some")
        for seed in range(given.seeds):
            lists = home / f"split-{seed}"
            options = ("--val", "10", "--test", "20", "--seed", str(seed), "--out", lists, "--json")
            for name, text in ways.items():
                if any(each["way"] == name and each["seed"] == seed for each in read_found(given.out)):
                    continue
                if not lists.exists():
                    run([sys.executable, "-m", "hubtune", "split", images, *options], home)
                entry = _measure(lists, [*module, *text.split()], home)
                entry = {"way": name, "seed": seed, "options": text, **entry}
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
                click.echo(f"split {seed}, {name}: {entry['test']:.4f} in {entry['seconds']:.0f} s", err=True)
    _table([each for each in read_found(given.out) if each["way"] in ways], [*ways])


def _measure(lists: Path, options: list[str], home: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=home) as folder:
        place = Path(folder)
        (place / "hubtune").mkdir()
        # What was measured of the machine is no part of a run.
        measured = home / "hubtune" / "machine.json"
        if measured.exists():
            (place / "hubtune" / "machine.json").write_bytes(measured.read_bytes())
        chosen = [text for option in (f"run={place / 'run'}", *options) for text in ("-o", option)]
        load = os.getloadavg()[0]
        ran = run([sys.executable, "-m", "hubtune", "finetune", lists, *chosen, "--json"], place)
        if (place / "hubtune" / "machine.json").exists():
            measured.parent.mkdir(exist_ok=True)
            measured.write_bytes((place / "hubtune" / "machine.json").read_bytes())
    return {
        "test": ran.found["test"]["accuracy"],
        "validate": ran.found["validate"] and ran.found["validate"]["accuracy"],
        "best_step": ran.found["best_step"],
        "seconds": ran.seconds,
        "cpu": ran.cpu,
        "load": load,
    }


def some_pictures(images: Path, count: int, folder: Path) -> Path:
    """Copy the first pictures of each class to a folder, and return it."""
    for source in sorted(path for path in images.iterdir() if path.is_dir()):
        (folder / source.name).mkdir(parents=True)
        for file in sorted(source.iterdir())[:count]:
            (folder / source.name / file.name).write_bytes(file.read_bytes())
    return folder


def read_found(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of results; none if there is no file."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def _table(found: list[dict[str, Any]], ways: list[str]) -> None:
    of = {name: {each["seed"]: each for each in found if each["way"] == name} for name in ways}
    click.echo(f"{'':24}{'splits':>8}{'test':>9}{'± s.e.':>9}{'s':>8}{'cpu s':>8}   to {ways[0]}, points")
    for name in ways:
        entries = of[name]
        tests = [each["test"] for each in entries.values()]
        seconds, cpu = (statistics.median(e[key] for e in entries.values()) for key in ("seconds", "cpu"))
        line = f"{name:24}{len(tests):8}{statistics.fmean(tests):9.4f}{standard_error(tests):9.4f}"
        paired = [100 * (e["test"] - of[ways[0]][s]["test"]) for s, e in entries.items() if s in of[ways[0]]]
        line += f"{seconds:8.1f}{cpu:8.1f}"
        click.echo(f"{line}   {statistics.fmean(paired):+6.2f} ± {standard_error(paired):.2f}")


def standard_error(values: list[float]) -> float:
    """Return the standard error of a mean."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
