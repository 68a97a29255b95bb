"""Seeded changes to training pictures; a picture's change is drawn from (run, epoch, picture) alone."""

import math
from typing import Literal

import numpy as np
from PIL import Image

Augmentation = Literal["none", "flip", "crop"]


def augment(image: Image.Image, kind: Augmentation, random: np.random.Generator) -> Image.Image:
    """Mirror a picture at random, and with ``crop`` cut a random part of it first.

    The part has 8–100 % of the area and an aspect of 3:4 to 4:3, as in the training of GoogLeNet (Szegedy et
    al., "Going deeper with convolutions", 2015).

    Args:
        image: a picture.
        kind: what to do.
        random: the source of the draws.
    """
    if kind == "none":
        return image
    if kind == "crop":
        image = image.crop(_part(*image.size, random))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def _part(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return left, top, left + wide, top + high
    return 0, 0, width, height
