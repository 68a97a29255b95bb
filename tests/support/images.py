"""Drawn images: noise that differs from class to class, a folder for each class."""

import numpy as np
from PIL import Image


def noise_image(width=48, height=32, *, seed=0, mode="RGB"):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def draw_tree(root, classes, *, size=40, noise=60.0, seed=0):
    """Draw ``classes[name]`` PNG images in each folder ``root/name``; the classes differ in colour."""
    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(classes.items()):
        folder = root / name
        folder.mkdir(parents=True)
        colour = np.array([60 + 150 * (number // place % 2) for place in (1, 2, 4)])
        for index in range(count):
            height, width = size + int(random.integers(12)), size + int(random.integers(12))
            pixels = colour + noise * random.standard_normal((height, width, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{index:03}.png")
    return root


def draw_marked_tree(root, classes, mark, *, width=48, height=32, seed=0):
    """Draw images of noise, 60 to 195, on which ``mark(pixels, name)`` marks the class in place."""
    random = np.random.default_rng(seed)
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(60, 196, (height, width, 3))
            mark(pixels, name)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:03}.png")
    return root


def draw_mixed_folder(folder):
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"nothing")
    return folder
