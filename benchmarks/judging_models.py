"""What the judging of whole models is worth: heat maps, unknown pictures, the temperature.

    python benchmarks/judging_models.py PICTURES --weights mobilenet_v2.safetensors --part heat
    python benchmarks/judging_models.py PICTURES --weights FILE --part unknown --unknown cifar=OTHERS
    python benchmarks/judging_models.py DIGITS --module digitnet --part unknown \
        --split "--train 20 --val 20 --test 100" --set "strategy=default_finetune train.epochs=5"

PICTURES has a folder of images for each class. Models are trained by `hubtune finetune` on several splits,
with the settings of --set. Parts:

unknown  similarity and highest score of the test pictures beside those of other pictures (--unknown); and for
         models that are trained by gradients, the cross entropy on the test list without the temperature,
         with it where hubtune applies it, and with it always
heat     the fall of the score when the hottest fifth of a picture is covered, beside a random fifth; likewise
         with the maps of heads with random weights
export   maps of a few pictures, for torch_grad_cam.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from judging import MODULE, show, summarise

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

import paddle

import hubtune
from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.files import read_groups
from hubtune.data.splits.kfold import split_keys
from hubtune.evaluation.calibration import fit_temperature
from hubtune.inference.explanation import ImageExplanation, explain_images
from hubtune.inference.model import Model
from hubtune.inference.predict import ImageScores, softmax
from hubtune.inference.unknown_images import measure_unknown
from hubtune.runs.lists import find_list
from hubtune.train.data_checks import hash_images

_RANDOM_DRAWS = 3
_COVERED = 0.2
_CELLS = 9


def run_command(*arguments: str | Path) -> None:
    """Run a command of hubtune in a process of its own."""
    command = [sys.executable, "-m", "hubtune", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


class Models:
    """Fine-tunes models on splits of a folder of images."""

    def __init__(self, given: argparse.Namespace, work: Path) -> None:
        """Take the arguments, and a folder to work in."""
        self._given, self._work = given, work

    def lists(self, seed: int) -> Path:
        """Return a split."""
        lists = self._work / f"split-{seed}"
        if not lists.exists():
            options = [*self._given.split.split(), "--seed", str(seed), "--out", lists]
            run_command("split", self._given.pictures, *options)
        return lists

    def options(self, more: Sequence[str] = ()) -> list[str]:
        """Return the options of `hubtune finetune`."""
        given = self._given
        module = [f"module={given.module}"] + ([f"module.weights={given.weights}"] if given.weights else [])
        return [part for text in (*module, *given.set.split(), *more) for part in ("-o", text)]

    def train(self, seed: int) -> Model:
        """Fine-tune a model."""
        folder = self._work / f"run-{seed}"
        more = (f"run={folder}", "report=off")
        run_command("finetune", self.lists(seed), *self.options(more))
        return hubtune.load_model(folder)

    def listed(self, model: Model, seed: int, name: str) -> list[ImageEntry]:
        """Return the images of a list of a model's split."""
        dataset, _ = find_list(self._work / f"run-{seed}", name, model.labels)
        return list(dataset.examples(name))


def unknown(models: Models, given: argparse.Namespace) -> dict[str, Any]:
    """Compare test images with others, and confidences with and without a temperature."""
    others = {name: _files(folder) for name, folder in (each.split("=", 1) for each in given.unknown)}
    rows: dict[str, list[dict[str, float]]] = {"test list": [], **{name: [] for name in others}}
    for seed in range(given.seeds):
        model = models.train(seed)
        entries = models.listed(model, seed, "test")
        results = [*model.score([entry.path for entry in entries])]
        truth = np.array([entry.label for entry in entries])
        row = {"accuracy": 100 * float((_values(results).argmax(axis=1) == truth).mean())}
        if model.card.step:
            row |= _temperature(models, model, seed, (_values(results), truth))
        reference, threshold = model.reference, model.card.similarity_threshold
        assert reference is not None and threshold is not None
        known = (results, truth.tolist())
        figures = measure_unknown(reference, threshold, model.labels, known, results)
        row["known rejected, %"] = 100 * (figures.known_rejected or 0)
        row["AUROC, a class left out"] = figures.class_left_out or np.nan
        rows["test list"].append(row)
        for name, paths in others.items():
            found = measure_unknown(reference, threshold, model.labels, known, [*model.score(paths)])
            rows[name].append(
                {
                    "AUROC, similarity": found.auroc or np.nan,
                    "AUROC, highest score": found.auroc_of_score or np.nan,
                    "rejected, %": 100 * (found.rejected or 0),
                }
            )
        click.echo(f"split {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()), err=True)
    return {name: summarise(own) for name, own in rows.items()}


def _temperature(
    models: Models, model: Model, seed: int, tested: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Return the cross entropy on the test list with and without the temperature."""
    values, truth = tested
    entries = models.listed(model, seed, "validate")
    own = model.card.temperature or 1.0
    logits = own * np.log(np.maximum(_values([*model.score([entry.path for entry in entries])]), 1e-300))
    keys = split_keys(hash_images(entries, lambda: None), read_groups(models.lists(seed)))
    fit = fit_temperature(logits, np.array([entry.label for entry in entries]), keys)
    of_test = own * np.log(np.maximum(values, 1e-300))

    def loss(temperature: float) -> float:
        scores = np.array([softmax(row / temperature) for row in of_test])
        return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-300)).mean())

    plain, with_own, always = loss(1.0), loss(own), loss(fit.temperature)
    return {
        "temperature": fit.temperature,
        "applied": float(model.card.temperature is not None),
        "loss without": plain,
        "loss": with_own,
        "change": with_own - plain,
        "change if always applied": always - plain,
    }


def heat(models: Models, given: argparse.Namespace) -> dict[str, Any]:
    """Cover the hottest fifth of test images."""
    model = models.train(0)
    paths = [entry.path for entry in models.listed(model, 0, "test")][: given.images]
    explained = [*explain_images(model, paths)]
    pictures = [np.asarray(decode(path)) for path in paths]
    labels = [model.labels.index(str(row.label)) for row in explained]
    before = _scores(model, pictures, labels)

    def falls(masks: Sequence[np.ndarray]) -> np.ndarray:
        covered = [_cover(picture, mask) for picture, mask in zip(pictures, masks, strict=True)]
        return before - _scores(model, covered, labels)

    by_heat = falls([_hottest(row, picture) for row, picture in zip(explained, pictures, strict=True)])
    random = np.random.default_rng(0)
    by_chance = np.mean([falls([_blocks(p, random) for p in pictures]) for _ in range(_RANDOM_DRAWS)], axis=0)
    rows = [
        {
            "score": score,
            "fall, hottest fifth": hot,
            "fall, random fifth": other,
            "hottest − random": hot - other,
            "hottest falls more": float(hot > other),
        }
        for score, hot, other in zip(before, by_heat, by_chance, strict=True)
    ]
    found = {"maps": summarise(rows)}
    if model.head is not None:
        by_random_heads = [
            falls([_hottest(row, picture) for row, picture in zip(maps, pictures, strict=True)])
            for maps in (_of_random_head(model, explained, draw) for draw in range(_RANDOM_DRAWS))
        ]
        others = np.mean(by_random_heads, axis=0)
        found["maps of heads with random weights"] = summarise(
            [
                {"fall, hottest fifth": hot, "hottest − random": hot - other}
                for hot, other in zip(others, by_chance, strict=True)
            ]
        )
    return found


def _of_random_head(model: Model, explained: Sequence[ImageExplanation], draw: int) -> list[ImageExplanation]:
    """Explain images by a head whose weights are normal numbers, each column as large as it was."""
    head = model.head
    assert head is not None
    random = np.random.default_rng(draw)
    blocks = np.split(head.weight, np.cumsum([head.width, *(tap.width for tap in head.taps)])[:-1])
    weight = np.vstack(
        [random.standard_normal(block.shape) * block.std(axis=0) for block in blocks], dtype=np.float32
    )
    folder = model.folder
    assert folder is not None
    other = hubtune.load_model(folder)
    other.__dict__["head"] = replace(head, weight=weight)
    maps: dict[str, ImageExplanation] = {}
    for label in model.labels:
        paths = [row.path for row in explained if row.label == label]
        maps |= {row.path: row for row in explain_images(other, paths, label=label)}
    return [maps[row.path] for row in explained]


def export(models: Models, given: argparse.Namespace) -> dict[str, Any]:
    """Write inputs, logits and maps of a few images; the head's weights are those of the pooled features."""
    model = models.train(0)
    paths = [entry.path for entry in models.listed(model, 0, "test")]
    paths = paths[:: max(1, len(paths) // 10)][:10]
    view, head = model.card.views[0], model.head
    assert head is not None and model.folder is not None
    arrays: dict[str, np.ndarray] = {"weight": head.weight[: head.width], "bias": head.bias}
    for number, row in enumerate(explain_images(model, paths)):
        image = view.normalise(preprocess_views(paths[number], [view])[0])
        arrays[f"image{number}"] = image
        arrays[f"label{number}"] = np.array(model.labels.index(str(row.label)))
        arrays[f"cells{number}"] = row.maps[0].mean_shares
        features = model.classifier.features(paddle.to_tensor(image[None])).numpy()[0]
        arrays[f"logits{number}"] = features[: head.width] @ arrays["weight"] + head.bias
        _, height, width = image.shape
        single = replace(row, maps=(replace(row.maps[0], area=(0, 0, 1, 1)),))
        arrays[f"heat{number}"] = single.heat(width, height, mean_only=True)
    given.maps.mkdir(parents=True, exist_ok=True)
    np.savez(given.maps / "maps.npz", **arrays)
    (given.maps / "model.safetensors").write_bytes((model.folder / "model.safetensors").read_bytes())
    return {}


def _files(folder: str | Path) -> list[Path]:
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".tsv")


def _values(results: Sequence[ImageScores]) -> np.ndarray:
    return np.array([result.values for result in results])


def _scores(model: Model, pictures: Sequence[np.ndarray], labels: Sequence[int]) -> np.ndarray:
    """Return the score of a class of each image."""
    rows = [row.scores for row in model.predict(list(pictures))]
    return np.array([row[model.labels[label]] for row, label in zip(rows, labels, strict=True)])


def _hottest(row: ImageExplanation, picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    values = row.heat(width, height)
    mask = np.zeros(values.size, bool)
    mask[np.argsort(-values, axis=None, kind="stable")[: round(_COVERED * values.size)]] = True
    return mask.reshape(values.shape)


def _blocks(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a random fifth of the blocks of a picture, of 9 × 9, as the maps' cells are."""
    chosen = np.zeros(_CELLS**2, bool)
    chosen[random.permutation(_CELLS**2)[: round(_COVERED * _CELLS**2)]] = True
    rows, columns = (np.arange(side) * _CELLS // side for side in picture.shape[:2])
    return chosen.reshape(_CELLS, _CELLS)[rows][:, columns]


def _cover(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    covered = picture.copy()
    covered[mask] = picture.reshape(-1, picture.shape[2]).mean(axis=0)
    return covered


PARTS: dict[str, Callable[[Models, argparse.Namespace], dict[str, Any]]] = {
    "unknown": unknown,
    "heat": heat,
    "export": export,
}


def main() -> int:
    """Measure a part, print the figures, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("--module", default=MODULE)
    parser.add_argument("--weights", type=Path, help="the module's weights, where it does not bring its own")
    parser.add_argument("--part", required=True, choices=[*PARTS])
    parser.add_argument("--split", default="--val 10 --test 20", help="options of `hubtune split`")
    parser.add_argument("--set", default="strategy=frozen", help="options of `hubtune finetune -o`")
    parser.add_argument("--unknown", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--seeds", type=int, default=10, help="splits")
    parser.add_argument("--images", type=int, default=120, help="test pictures for part heat")
    parser.add_argument("--maps", type=Path, default=Path("maps"), help="folder for part export")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubtune-judging-") as work:
        found = PARTS[given.part](Models(given, Path(work)), given)
    show(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
