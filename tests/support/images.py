"""Drawn images: a folder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image


def draw_tree(
    root: Path, classes: dict[str, int], *, size: int = 40, noise: float = 60.0, seed: int = 0
) -> Path:
    """Draw ``classes[name]`` PNG pictures in each folder ``root/name``."""
    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(classes.items()):
        folder = root / name
        folder.mkdir(parents=True)
        colour = np.array(
            [60 + 150 * (number % 2), 60 + 150 * (number // 2 % 2), 60 + 150 * (number // 4 % 2)]
        )
        for index in range(count):
            height, width = size + int(random.integers(12)), size + int(random.integers(12))
            pixels = colour + noise * random.standard_normal((height, width, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{index:03}.png")
    return root
