"""Share of copies that are found, and of different images that are taken for copies.

    python benchmarks/near_duplicates.py PICTURES --copies 100 --out found.json

PICTURES is a folder of photos. For the first --copies of them, in an order drawn from the seed, each
transformation makes a copy, which is written as a file and searched for among all of PICTURES, as in `hubtune
split`. Cached results are not used.
"""

import argparse
import io
import json
import math
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hubtune.data.dedup.duplicates import find_groups
from hubtune.data.listing import ImageEntry
from hubtune.data.scan.scanner import scan_files

Random = np.random.Generator
BILINEAR, LANCZOS = Image.Resampling.BILINEAR, Image.Resampling.LANCZOS


def main() -> None:
    """Make the copies, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--copies", type=int, default=100, help="of each transformation")
    parser.add_argument("--half", type=int, choices=(0, 1), help="use this half of the pictures only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["HUBTUNE_HOME"] = home
        _measure(given)


def _measure(given: argparse.Namespace) -> None:
    scan = scan_files(given.pictures)
    images = scan.classes[""]
    order = np.random.default_rng(given.seed).permutation(len(images))
    images = [images[place] for place in (order if given.half is None else order[given.half :: 2])]
    start = time.perf_counter()
    groups = [[images[place].name for place in group.members] for group in find_groups(images)]
    seconds = time.perf_counter() - start
    grouped = sum(map(len, groups))
    click.echo(f"{len(images)} pictures, {grouped} of them in {len(groups)} groups, in {seconds:.1f} s:")
    for group in groups:
        click.echo(f"    {', '.join(group)}")
    found = {name: _found(images, name, given.copies) for name in TRANSFORMATIONS}
    for name, share in found.items():
        click.echo(f"{name:32s} {share:.3f}")
    if given.out:
        given.out.write_text(
            json.dumps({"pictures": len(images), "groups": groups, "seconds": seconds, "found": found})
        )


def _found(images: list[ImageEntry], name: str, copies: int) -> float:
    """The share of copies that are in one group with what they are copies of."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    originals = images[:copies]
    with tempfile.TemporaryDirectory() as folder:
        for place, picture in enumerate(originals):
            with Image.open(picture.path) as image:
                copy = TRANSFORMATIONS[name](ImageOps.exif_transpose(image).convert("RGB"), random)
            copy.save(Path(folder) / f"{place:06}.jpg", quality=92)
        made = scan_files(Path(folder)).classes[""]
        groups = find_groups([*images, *made])
    together = {place: set(group.members) for group in groups for place in group.members}
    return float(np.mean([len(images) + place in together.get(place, ()) for place in range(len(originals))]))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((max(8, round(image.width * factor)), max(8, round(image.height * factor))), LANCZOS)


def _cropped(image: Image.Image, share: float, random: Random) -> Image.Image:
    width, height = round(image.width * share), round(image.height * share)
    x, y = random.integers(0, image.width - width + 1), random.integers(0, image.height - height + 1)
    return image.crop((x, y, x + width, y + height))


def _rotated(image: Image.Image, degrees: float, random: Random, expand: bool = False) -> Image.Image:
    return image.rotate(degrees * random.choice((-1, 1)), BILINEAR, expand=expand)


def _rotated_inside(image: Image.Image, degrees: float) -> Image.Image:
    """Rotated, and cropped to what has no corner of the filling."""
    width, height, angle = *image.size, math.radians(abs(degrees))
    cos, sin = math.cos(angle), math.sin(angle)
    scale = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    x, y = width * (1 - scale) / 2, height * (1 - scale) / 2
    inside = (math.ceil(x), math.ceil(y), math.floor(width - x), math.floor(height - y))
    return image.rotate(degrees, BILINEAR).crop(inside)


def _brightened(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


TRANSFORMATIONS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "half the size": lambda image, _: _scaled(image, 0.5),
    "a fifth of the size": lambda image, _: _scaled(image, 0.2),
    "1.5 times the size": lambda image, _: _scaled(image, 1.5),
    "stretched to 224 × 224": lambda image, _: image.resize((224, 224), BILINEAR),
    "JPEG, quality 60": lambda image, _: _jpeg(image, 60),
    "JPEG, quality 20": lambda image, _: _jpeg(image, 20),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "upside down": lambda image, _: ImageOps.flip(image),
    "a quarter turn": lambda image, _: image.transpose(Image.Transpose.ROTATE_90),
    "crop, 90 % of the sides": lambda image, random: _cropped(image, 0.9, random),
    "crop, 80 % of the area": lambda image, random: _cropped(image, math.sqrt(0.8), random),
    "crop, 80 % of the sides": lambda image, random: _cropped(image, 0.8, random),
    "brightness 0.5": lambda image, _: _brightened(image, 0.5),
    "brightness 0.7": lambda image, _: _brightened(image, 0.7),
    "brightness 1.3": lambda image, _: _brightened(image, 1.3),
    "brightness 1.5": lambda image, _: _brightened(image, 1.5),
    "contrast 1.5": lambda image, _: ImageEnhance.Contrast(image).enhance(1.5),
    "in grey": lambda image, _: image.convert("L"),
    "rotated by 5°": lambda image, random: _rotated(image, 5, random),
    "rotated by 10°": lambda image, random: _rotated(image, 10, random),
    "rotated by 15°": lambda image, random: _rotated(image, 15, random),
    "rotated by 10°, enlarged": lambda image, random: _rotated(image, 10, random, expand=True),
    "rotated by 7°, cropped inside": lambda image, _: _rotated_inside(image, 7),
    "mirrored, cropped to 85 %": lambda image, random: ImageOps.mirror(_cropped(image, 0.85, random)),
    "mirrored, 2/3 the size, JPEG 50": lambda image, _: _jpeg(_scaled(ImageOps.mirror(image), 2 / 3), 50),
    "rotated up to 8°, brightness 1.2": lambda image, random: _brightened(
        image.rotate(random.uniform(-8, 8), BILINEAR), 1.2
    ),
    "white border of 5 %": lambda image, _: ImageOps.expand(image, image.width // 20, "white"),
}


if __name__ == "__main__":
    main()
