"""Weights between the model of `frozen` and a network that was trained from it, on several splits.

    python benchmarks/weight_interpolation.py PICTURES mobilenet_v2.safetensors --per-class 30 \
        --way last_stage="strategy=last_stage" --way from_frozen="strategy=from_frozen" --out found.jsonl

Training from the solved head is LP-FT (Kumar et al., 2022), interpolation of the weights WiSE-FT (Wortsman et
al., 2022). The trained weights are those of the run's last checkpoint, as a run keeps the model of `frozen`
unless another one is clearly better. Runs that are already in the file are not repeated. The table has the
accuracy on the test list for each share of the trained weights, and for the share with the lowest cross
entropy on the validation list, with paired differences to `frozen`. Frozen features and heads come from one
cache, so that the time of `frozen` belongs to that of a way, too; after the first split, features are cached.
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
from strategies import read_found, some_pictures, standard_error

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

import hubtune
from hubtune.inference.model import Model
from hubtune.inference.model_folder import read_model
from hubtune.runs.lists import find_list
from hubtune.storage.checked_folder import open_checked
from hubtune.storage.safe_load import read_weights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_WEIGHTS = "model.safetensors"


def main() -> None:
    """Run what is missing in the file, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("weights", type=Path, help="of paddle.vision's mobilenet_v2, safetensors")
    parser.add_argument("--way", action="append", required=True, metavar="NAME=OPTIONS")
    parser.add_argument("--seeds", type=int, default=10, help="splits by --val 10 --test 20")
    parser.add_argument("--per-class", type=int, help="use the first so many pictures of a class only")
    parser.add_argument("--out", type=Path, required=True, help="a JSON line a run")
    given = parser.parse_args()
    ways = dict(way.split("=", 1) for way in given.way)
    with tempfile.TemporaryDirectory(prefix="hubtune-interpolation-") as work:
        home = Path(work)
        os.environ["HUBTUNE_HOME"] = str(home / "hubtune")
        images = given.pictures.resolve()
        if given.per_class:
            images = some_pictures(images, given.per_class, home / "some")
        for seed in range(given.seeds):
            done = {each["way"] for each in read_found(given.out) if each["seed"] == seed}
            missing = {name: text for name, text in ways.items() if name not in done}
            if missing:
                _measure(images, given.weights.resolve(), seed, missing, home, given.out)
    _table([each for each in read_found(given.out) if each["way"] in ways], [*ways])


def _measure(images: Path, weights: Path, seed: int, ways: dict[str, str], home: Path, out: Path) -> None:
    """Train on a split in each of the ways, and write a line for each."""
    lists = home / f"split-{seed}"
    options = ("--val", "10", "--test", "20", "--seed", str(seed), "--out", lists, "--json")
    run([sys.executable, "-m", "hubtune", "split", images, *options], home)
    spent = {}
    for name, text in {"frozen": "strategy=frozen", **ways}.items():
        settings = [f"run={home / f'{name}-{seed}'}", f"module={MODULE}", f"module.weights={weights}"]
        chosen = [part for each in (*settings, "report=off", *text.split()) for part in ("-o", each)]
        ran = run([sys.executable, "-m", "hubtune", "finetune", lists, *chosen, "--json"], home)
        spent[name] = {"cpu": ran.cpu, "seconds": ran.seconds, "best_step": ran.found["best_step"]}
    frozen = home / f"frozen-{seed}"
    for name, text in ways.items():
        checkpoints = (home / f"{name}-{seed}" / "checkpoints").glob("step-*")
        newest = max(checkpoints, key=lambda folder: int(folder.name[5:]))
        trained = read_weights(open_checked(newest, _WEIGHTS) / _WEIGHTS)
        entry = {"way": name, "seed": seed, "options": text, "frozen_cpu": spent["frozen"]["cpu"]}
        entry |= {**spent[name], "steps": int(newest.name[5:])}
        entry["shares"] = {str(share): _figures(frozen, trained, share) for share in SHARES}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        accuracies = (figures["test"]["accuracy"] for figures in entry["shares"].values())
        click.echo(f"split {seed}, {name}: " + ", ".join(f"{value:.3f}" for value in accuracies), err=True)


def _figures(frozen: Path, trained: dict[str, Any], share: float) -> dict[str, Any]:
    """Return accuracy and loss of the interpolated network on the validation and the test list."""
    classifier, card = read_model(hubtune.load_model(frozen).folder or frozen)
    for name, tensor in classifier.state().items():
        tensor.set_value((1 - share) * tensor.numpy() + share * trained[name])
    model, figures = Model(classifier, card), {}
    for name in ("validate", "test"):
        dataset, _ = find_list(frozen, name, card.labels)
        metrics = model.evaluate(dataset, name)
        figures[name] = {"accuracy": metrics.accuracy, "loss": metrics.loss}
    return figures


def _chosen(entry: dict[str, Any]) -> str:
    """Return the share with the lowest loss on the validation list."""
    return min(entry["shares"], key=lambda share: float(entry["shares"][share]["validate"]["loss"]))


def _table(found: list[dict[str, Any]], ways: list[str]) -> None:
    for way in ways:
        entries = [each for each in found if each["way"] == way]
        spent = statistics.median(each["cpu"] + each["frozen_cpu"] for each in entries)
        click.echo(f"\n{way}: {len(entries)} splits, {spent:.0f} s of processor time with frozen (median)")
        click.echo(f"{'share':12}{'test':>9}{'± s.e.':>9}{'loss':>9}   to frozen, points")
        for share in (*map(str, SHARES), "chosen"):
            rows = [each["shares"][_chosen(each) if share == "chosen" else share]["test"] for each in entries]
            tests = [row["accuracy"] for row in rows]
            firsts = [each["shares"][str(SHARES[0])]["test"]["accuracy"] for each in entries]
            paired = [100 * (one - other) for one, other in zip(tests, firsts, strict=True)]
            line = f"{share:12}{statistics.fmean(tests):9.4f}{standard_error(tests):9.4f}"
            line += f"{statistics.fmean(row['loss'] for row in rows):9.4f}"
            click.echo(f"{line}   {statistics.fmean(paired):+6.2f} ± {standard_error(paired):.2f}")
        click.echo("chosen shares: " + ", ".join(_chosen(each) for each in entries))


if __name__ == "__main__":
    main()
