"""Accuracy on a test list if the data set was augmented before the split.

    python benchmarks/augmented_copies.py PICTURES mobilenet_v2.safetensors --json copies.json
    python benchmarks/augmented_copies.py PICTURES mobilenet_v2.safetensors --seeds 2 \
        --strategy "default_finetune train.epochs=10"

PICTURES has a folder of photos for each class. 25 of them, drawn at random, are used; the others are held
out. Each of the 25 gets two copies (mirrored, rotated, brighter or darker, cropped), so that a class has 75
images. 60 of them train a model and 15 test it. The divisions are:

random    each image on its own, as in many tutorials
origin    a photo and its copies in one list
found     by `hubtune split`, which gets no information about the copies
photos    no copies: 20 of the 25 photos train, 5 test

The true accuracy of every model is then measured on the held-out photos.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from frozen_figures import MODULE, run
from PIL import Image, ImageEnhance

from hubtune.data.dataset import ListDataset
from hubtune.hardware import cpu
from hubtune.rng import rng_for

PHOTOS, COPIES = 25, 2
TESTED = 0.2  # share of the pictures
WAYS = ("random", "origin", "found", "photos")
_KINDS = ("mirror", "turn", "brightness", "crop")

Lists = dict[str, list[tuple[str, int]]]
"""``train`` and ``test`` → path inside the folder of pictures, and label."""


@dataclass(frozen=True)
class Enlarged:
    """Pictures of one draw.

    Attributes:
        folder: a folder for each class.
        images: for each class and each of its photos, the paths of the photo itself and its copies.
        kept: the photos that no copy was made of, as a list file.
    """

    folder: Path
    images: list[list[list[str]]]
    kept: Path


def main() -> None:
    """Measure, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of photos for each class")
    parser.add_argument("weights", type=Path, help="of paddle.vision's mobilenet_v2, safetensors")
    parser.add_argument(
        "--strategy", default="frozen", help='with options: "default_finetune train.epochs=10"'
    )
    parser.add_argument("--way", action="append", choices=WAYS, help="may be repeated; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="draws of the 25 photos, and splits of them")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    start = time.perf_counter()
    found = []
    with tempfile.TemporaryDirectory(prefix="hubtune-copies-") as work:
        home = Path(work)
        for seed in range(given.seeds):
            enlarged = enlarge(given.pictures.resolve(), seed, home / f"draw-{seed}")
            for way in given.way or WAYS:
                base = home / f"lists-{seed}-{way}"
                shared = _lists(enlarged, way, seed, base, home)
                figures = _measure(base, enlarged.kept, given.strategy, given.weights.resolve(), home)
                entry = {"way": way, "seed": seed, "shared": shared, **figures}
                found.append(entry)
                click.echo(f"seed {seed}, {way}: {json.dumps(entry)}", err=True)
    _table(found, given.way or WAYS)
    facts = {
        "strategy": given.strategy,
        "processor": cpu.processor().identity,
        "python": platform.python_version(),
        "seconds": time.perf_counter() - start,
    }
    click.echo(f"\n{json.dumps(facts)}")
    if given.json:
        given.json.write_text(json.dumps({**facts, "found": found}, indent=1) + "\n", encoding="utf-8")


def enlarge(images: Path, seed: int, work: Path) -> Enlarged:
    """Draw the photos of each class, and write them with their copies, as JPEG."""
    folder, drawn, kept = work / "pics", [], []
    classes = sorted(path for path in images.iterdir() if path.is_dir())
    for label, source in enumerate(classes):
        files = sorted(source.iterdir())
        if len(files) <= PHOTOS:
            raise SystemExit(f"{source} has {len(files)} pictures: more than {PHOTOS} are needed")
        order = rng_for(seed, "draw", label).permutation(len(files))
        (folder / source.name).mkdir(parents=True)
        drawn.append([_with_copies(files[i], folder / source.name, seed) for i in order[:PHOTOS]])
        kept += [f"{files[i]} {label}\n" for i in order[PHOTOS:]]
    (work / "label_list.txt").write_text("".join(f"{source.name}\n" for source in classes), "utf-8")
    (work / "kept_list.txt").write_text("".join(kept), "utf-8")
    return Enlarged(folder, drawn, work / "kept_list.txt")


def _with_copies(photo: Path, folder: Path, seed: int) -> list[str]:
    image = Image.open(photo).convert("RGB")
    random = rng_for(seed, "copies", photo.parent.name, photo.name)
    names = [photo.stem, *(f"{photo.stem}-{number}" for number in range(1, COPIES + 1))]
    kinds = random.permutation(_KINDS)[:COPIES]
    for name, picture in zip(names, (image, *(changed(image, kind, random) for kind in kinds)), strict=True):
        picture.save(folder / f"{name}.jpg", quality=90)
    return [f"{folder.name}/{name}.jpg" for name in names]


def changed(image: Image.Image, kind: str, random: np.random.Generator) -> Image.Image:
    """A copy as a tutorial makes it: changed in one way, by a random amount."""
    width, height = image.size
    if kind == "mirror":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if kind == "turn":
        return image.rotate(random.uniform(5, 20) * random.choice((-1, 1)), Image.Resampling.BILINEAR)
    if kind == "brightness":
        return ImageEnhance.Brightness(image).enhance(random.choice((0.6, 0.8, 1.2, 1.5)))
    side = random.uniform(0.8, 0.9)
    left, top = random.uniform(0, 1 - side, 2) * (width, height)
    return image.crop((round(left), round(top), round(left + side * width), round(top + side * height)))


def _lists(enlarged: Enlarged, way: str, seed: int, base: Path, home: Path) -> float:
    """Write the lists of a way; returns the share of test pictures of whose photo training has a picture."""
    base.mkdir()
    if way == "found":
        options = ("--val", "0", "--test", f"{TESTED:.0%}", "--seed", str(seed), "--out", base, "--json")
        run([sys.executable, "-m", "hubtune", "split", enlarged.folder, *options], home)
    else:
        lists: Lists = {"train": [], "test": []}
        for label, photos in enumerate(enlarged.images):
            random = rng_for(seed, "split", label)
            for name, picked in zip(("test", "train"), _divided(photos, way, random), strict=True):
                lists[name] += [(f"{enlarged.folder}/{path}", label) for path in picked]
        for name, entries in lists.items():
            (base / f"{name}_list.txt").write_text("".join(f"{p} {label}\n" for p, label in entries), "utf-8")
        if way == "origin":  # as `hubtune split` would note it
            groups = [
                [f"{enlarged.folder}/{path}" for path in photo]
                for photos in enlarged.images
                for photo in photos
            ]
            (base / "split.json").write_text(json.dumps({"groups": groups}), "utf-8")
    labels = (enlarged.kept.parent / "label_list.txt").read_text("utf-8")
    (base / "label_list.txt").write_text(labels, "utf-8")
    (base / "kept_list.txt").write_bytes(enlarged.kept.read_bytes())
    photos = [photo for photos in enlarged.images for photo in photos]
    photo_of = {path: number for number, photo in enumerate(photos) for path in photo}
    dataset = ListDataset(base)
    used = {
        name: [photo_of["/".join(example.path.parts[-2:])] for example in examples]
        for name in ("train", "test")
        if (examples := dataset.examples(name))
    }
    return statistics.fmean(photo in used["train"] for photo in used["test"])


def _divided(
    photos: Sequence[list[str]], way: str, random: np.random.Generator
) -> tuple[list[str], list[str]]:
    """The test and the training pictures of a class."""
    if way == "random":
        units = [[path] for photo in photos for path in photo]
    else:
        units = [photo[:1] if way == "photos" else photo for photo in photos]
    order = random.permutation(len(units))
    cut = round(TESTED * len(units))
    test, train = ([path for i in some for path in units[i]] for some in (order[:cut], order[cut:]))
    return test, train


def _measure(base: Path, kept: Path, strategy: str, weights: Path, home: Path) -> dict[str, Any]:
    name, *further = strategy.split()
    options = [f"run={base / 'run'}", f"module={MODULE}", f"module.weights={weights}", f"strategy={name}"]
    chosen = [text for option in (*options, *further) for text in ("-o", option)]
    ran = run([sys.executable, "-m", "hubtune", "finetune", base, *chosen, "--json"], home)
    honest = run(
        [sys.executable, "-m", "hubtune", "evaluate", base / "run", "--on", base / "kept_list.txt", "--json"],
        home,
    )
    return {
        "test": ran.found["test"]["accuracy"],
        "tested": ran.found["test"]["count"],
        "kept": honest.found["accuracy"],
        "photos": honest.found["count"],
        "cross_validated": ran.found["cross_validated"],
        "seconds": ran.seconds,
    }


def _table(found: Sequence[dict[str, Any]], ways: Sequence[str]) -> None:
    click.echo(f"{'':10}{'seeds':>6}{'shared':>9}{'test list':>18}{'kept photos':>18}{'gap, points':>18}")
    for way in ways:
        of = [entry for entry in found if entry["way"] == way]
        line = f"{way:10}{len(of):6}{statistics.fmean(entry['shared'] for entry in of):9.0%}"
        for values in (
            [100 * entry["test"] for entry in of],
            [100 * entry["kept"] for entry in of],
            [100 * (entry["test"] - entry["kept"]) for entry in of],
        ):
            error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
            line += f"{statistics.fmean(values):11.1f} ± {error:4.1f}"
        click.echo(line)


if __name__ == "__main__":
    main()
