"""What the judging of a solved head is worth: wrong labels, suggestions, the learning curve.

    python benchmarks/judging.py mobilenet_v2.safetensors photos=PICTURES cifar=OTHERS --part labels

Each set of pictures is a folder with a folder for each class; the weights are of paddle.vision's
mobilenet_v2. Features are those of strategy `frozen` (the whole image and its mirror image), computed once.
Parts:

labels   a share of the labels is made wrong: how many of them `hubtune audit` has in its first tenth, and
         how many of a report's suspects are wrong
suggest  8 labelled pictures a class, then 48 more by `hubtune suggest` or at random: the accuracy after
curve    the learning curve of a part of the pictures, compared with the accuracy with more of them
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from hubtune.hardware import cpu

if __name__ == "__main__":
    cpu.prepare()  # sets MKL's path, which has no effect once Paddle is imported

from hubtune.data.audit.scan_report import make_scan_report
from hubtune.data.sources.open import open_source
from hubtune.hub.module import Module
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_table import Table
from hubtune.inference.label_ranking import rank_labels
from hubtune.inference.list_features import compute_table, features_backbone
from hubtune.inference.predict import ImageScores, softmax
from hubtune.inference.reference import Reference
from hubtune.inference.ridge_head import clearly_lower, fit_ridge
from hubtune.inference.subset_accuracy import accuracy_by_size
from hubtune.inference.suggestion import suggest_images
from hubtune.models.classifier import Classifier
from hubtune.report.findings import fit_sizes, is_suspect
from hubtune.train.data_checks import hash_images
from hubtune.train.views import mirrored, whole_view

MODULE = "paddle.vision:mobilenet_v2"


@dataclass(frozen=True)
class Images:
    """The features of a set of images; ``classes`` is the number of classes."""

    table: Table
    classes: int


def read_images(folder: str, weights: str) -> Images:
    """Compute the features of the images below a folder, or take them from the cache."""
    report = make_scan_report(folder, open_source(folder))
    labels, module = list(report.classes), Module(MODULE, weights)
    classifier, record = Classifier(module.backbone, len(labels)), module.backbone
    classifier.load_backbone(module.network)
    classifier.take_second_order(classifier.find_taps(record.taps, record.input_size))
    view = whole_view(module.preprocessing, record.size_multiple) or module.preprocessing
    backbone = features_backbone(
        classifier, view, module=record.name, wanted="auto", cache=FeatureCache(), code=None
    )
    groups = {
        report.images[index].path: number
        for number, group in enumerate(report.groups)
        for index in group.members
    }
    entries = hash_images(report.images, lambda: None)
    table, _ = compute_table(backbone, classifier.blocks, [view, mirrored(view)], entries, groups)
    return Images(table, len(labels))


def labels(images: Images, draws: int) -> dict[str, Any]:
    """Rank labels of which a share is wrong."""
    table, found = images.table, {}
    count = len(table.labels)
    for share in (0.0, 0.02, 0.05, 0.1):
        rows: list[dict[str, float]] = []
        for draw in range(draws if share else 1):
            random = np.random.default_rng([draw, 1])
            wrong = random.permutation(count)[: round(share * count)]
            changed = table.labels.copy()
            changed[wrong] += random.integers(1, images.classes, len(wrong))
            changed %= images.classes
            ranking = rank_labels(replace(table, labels=changed), images.classes)
            planted = set(wrong.tolist())
            suspects = [issue.index for issue in ranking if is_suspect(issue)]
            right = len(planted.intersection(suspects))
            row = {"suspects a hundred images": 100 * len(suspects) / count}
            if planted:
                first = [issue.index for issue in ranking[: count // 10]]
                row["planted in the first tenth"] = len(planted.intersection(first)) / len(planted)
                row["recall of suspects"] = right / len(planted)
                row["precision of suspects"] = right / len(suspects) if suspects else np.nan
            rows.append(row)
        found[f"{share:.0%} wrong"] = summarise(rows)
    return found


def suggest(images: Images, draws: int) -> dict[str, Any]:
    """Label 48 more images, suggested ones or random ones."""
    rows = []
    for draw in range(draws):
        table, random = images.table, np.random.default_rng([draw, 2])
        order = _in_groups(table.keys, random)
        start = np.concatenate([order[table.labels[order] == label][:8] for label in range(images.classes)])
        rest = np.setdiff1d(order, start, assume_unique=True)
        pool, test = rest[: len(rest) // 2][:300], rest[len(rest) // 2 :]
        weight, bias = _fit(table.take(start), images.classes)
        unit = table.first_block().rows
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        names = ["" for _ in start]
        reference = Reference(unit[start].astype(np.float16), table.labels[start], names)
        scores = [softmax(table.rows[row] @ weight + bias) for row in pool]
        results = [
            ImageScores(Path(), score, None, unit[row]) for row, score in zip(pool, scores, strict=True)
        ]
        by_score = np.argsort([np.diff(np.sort(score)[-2:])[0] for score in scores], kind="stable")
        chosen = {
            "before": pool[:0],
            "suggested": pool[[each.index for each in suggest_images(results, reference, 48)]],
            "random": pool[random.permutation(len(pool))[:48]],
            "most unsure alone": pool[by_score[:48]],
            "most unlike alone": pool[_most_unlike(unit[pool], reference, 48)],
        }
        row = {
            name: 100 * _accuracy(table, np.concatenate([start, more]), test, images.classes)
            for name, more in chosen.items()
        }
        for name in ("suggested", "most unsure alone", "most unlike alone"):
            row[f"{name} − random"] = row[name] - row["random"]
        rows.append(row)
    return summarise(rows)


def curve(images: Images, draws: int) -> dict[str, Any]:
    """Predict the accuracy with all images from that of a part."""
    table, found = images.table, {}
    truth = fit_ridge(table, images.classes).accuracy
    assert truth is not None
    each = len(table.labels) / images.classes
    for parts in (2, 4):
        rows = []
        for draw in range(draws):
            order = _in_groups(table.keys, np.random.default_rng([draw, 3]))
            part = table.take(np.sort(order[: len(order) // parts]))
            sizes = accuracy_by_size(part)
            if (law := fit_sizes(sizes)) is None:
                continue
            error, low, high = law.predict(each)
            gain, least, most = law.gain(sizes[-1].images, each - sizes[-1].images)
            before = float(np.mean(sizes[-1].accuracies))
            rows.append(
                {
                    "before": 100 * before,
                    "truth": 100 * truth,
                    "predicted − truth": 100 * (1 - error - truth),
                    "width of the interval": 100 * (high - low),
                    "truth inside": float(low <= 1 - truth <= high),
                    "gain": 100 * (truth - before),
                    "gain predicted": 100 * gain,
                    "gain, least": 100 * least,
                    "gain, most": 100 * most,
                }
            )
        mean = float(
            np.mean([row["gain"] for row in rows])
        )  # one draw's own gain has the chance of its images
        for row in rows:
            row["mean gain inside"] = float(row["gain, least"] <= mean <= row["gain, most"])
        found[f"1/{parts} of the images"] = summarise(rows)
    return found


def _fit(table: Table, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights ``[width, classes]`` and biases of the head that strategy `frozen` would take."""
    head, first = fit_ridge(table, classes), fit_ridge(table.first_block(), classes)
    if not clearly_lower(first.errors, head.errors):
        return head.weight, head.bias
    missing = len(head.weight) - len(first.weight)
    return np.pad(first.weight, ((0, missing), (0, 0))), first.bias


def _accuracy(table: Table, rows: np.ndarray, test: np.ndarray, classes: int) -> float:
    weight, bias = _fit(table.take(rows), classes)
    return float(((table.rows[test] @ weight + bias).argmax(axis=1) == table.labels[test]).mean())


def _most_unlike(features: np.ndarray, reference: Reference, count: int) -> list[int]:
    closest = reference.similarities(features)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(closest.argmin()))
        closest = np.maximum(closest, features @ features[chosen[-1]])
    return chosen


def _in_groups(keys: Sequence[str], random: np.random.Generator) -> np.ndarray:
    """Return all rows in random order, those of one group one after the other."""
    names, numbers = np.unique(np.asarray(keys), return_inverse=True)
    return np.asarray(np.argsort(random.permutation(len(names))[numbers], kind="stable"))


def summarise(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the mean of each figure over the draws, its standard error, and all values."""
    summary = {}
    for name in rows[0] if rows else ():
        values = np.array([row[name] for row in rows])
        known = values[np.isfinite(values)]
        error = known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else float("nan")
        summary[name] = {
            "mean": float(known.mean()) if len(known) else None,
            "error": None if np.isnan(error) else float(error),
            "values": [float(value) if np.isfinite(value) else None for value in values],
        }
    return summary


def show(found: dict[str, Any], indent: str = "  ") -> None:
    """Print figures, means ± standard errors."""
    for name, value in found.items():
        if "mean" not in value:
            click.echo(f"{indent}{name}")
            show(value, indent + "  ")
        elif value["mean"] is not None:
            error = "" if value["error"] is None else f" ± {value['error']:.3f}"
            click.echo(f"{indent}{name:34}{value['mean']:9.3f}{error}  ({len(value['values'])})")


PARTS: dict[str, Callable[[Images, int], dict[str, Any]]] = {
    "labels": labels,
    "suggest": suggest,
    "curve": curve,
}


def main() -> int:
    """Measure the parts that are asked for, print the figures, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", help="of paddle.vision's mobilenet_v2, safetensors")
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER", help="pictures, a folder for each class")
    parser.add_argument("--part", action="append", choices=[*PARTS], help="may be repeated; default: all")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    found: dict[str, Any] = {part: {} for part in given.part or PARTS}
    for name, folder in (each.split("=", 1) for each in given.sets):
        images = read_images(folder, given.weights)
        for part, own in found.items():
            own[name] = PARTS[part](images, given.draws)
            click.echo(f"\n{part}, {name}: {len(images.table.labels)} images in {images.classes} classes")
            show(own[name])
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
