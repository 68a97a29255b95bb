"""The images of the recorded outputs, the same everywhere: from SHAKE-128 and whole-number arithmetic."""

import hashlib
import os

import numpy as np
from PIL import Image

TIME = 1_700_000_000
COLOURS = {"ant": (150, 90, 70), "bee": (90, 150, 80), "cow": (80, 90, 160)}


def noise(name, *shape):
    """Whole numbers from 0 to 255 that depend on the name alone."""
    count = int(np.prod(shape))
    values = np.frombuffer(hashlib.shake_128(name.encode()).digest(count), np.uint8)
    return values.reshape(shape).astype(np.int64)


def scene(name, height=64, width=72):
    """A smooth picture ``[height, width, 3]`` with details of several sizes, in which copies can be found."""
    total = np.zeros((height, width, 3), np.int64)
    for side, weight in ((32, 8), (16, 4), (8, 3), (4, 1)):
        grid = noise(f"{name} {side}", height // side + 2, width // side + 2, 3)
        down, across = np.arange(height), np.arange(width)
        top, left = (down // side)[:, None], (across // side)[None, :]
        y, x = (down % side)[:, None, None], (across % side)[None, :, None]
        above = grid[top, left] * (side - x) + grid[top, left + 1] * x
        below = grid[top + 1, left] * (side - x) + grid[top + 1, left + 1] * x
        total += weight * (above * (side - y) + below * y) // (side * side)
    return (total // 16).astype(np.uint8)


def spotted(kind, number):
    name = f"{kind} {number}"
    height, width = 24 + number % 5, 26 + number % 3
    pixels = np.array(COLOURS[kind]) + (noise(name, height, width, 3) - 128) * 3 // 4
    pixels[:, :: 2 + list(COLOURS).index(kind)] += 24
    return np.clip(pixels, 0, 255).astype(np.uint8)


def save(pixels, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    os.utime(file, (TIME, TIME))
    return file


def write(content, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (TIME, TIME))
    return file


def draw_classes(root, each=12):
    for kind in COLOURS:
        for number in range(each):
            save(spotted(kind, number), root / kind / f"{number:03}.png")
    return root


def draw_odd(root):
    """Two classes with copies, changed copies, odd modes and names, and what is no picture."""
    for kind in ("cat", "dog"):
        for number in range(12):
            save(scene(f"{kind} {number}"), root / kind / f"series{number // 3}_{number:02}.png")
    cat, dog = root / "cat", root / "dog"
    save(scene("cat 0"), cat / "the same.png")
    save(scene("cat 1")[:, ::-1], cat / "mirrored.png")
    save(np.rot90(scene("cat 2")), cat / "turned.png")
    save(scene("dog 1")[2:60, 3:70], dog / "cropped.png")
    save(np.minimum(scene("dog 2").astype(np.int64) + 14, 255).astype(np.uint8), dog / "brighter.png")
    save(scene("dog 3"), cat / "a dog.png")
    save(scene("grey")[:, :, 0], cat / "grey.png")
    opaque = np.concatenate([scene("alpha"), 64 + noise("alpha", 64, 72, 1) // 2], axis=2)
    save(opaque.astype(np.uint8), dog / "alpha.png")
    save(np.full((40, 40, 3), 2, np.uint8), dog / "black.png")
    save(scene("tiny", 9, 8), dog / "tiny.png")
    save(scene("name"), dog / "=ä ö, 'x' .png")
    write((cat / "series0_00.png").read_bytes()[:900], cat / "cut.png")
    write(b"no picture\n", dog / "text.png")
    write(b"", dog / "empty.png")
    write(b"notes\n", root / "notes.txt")
    return root


LISTS = {"train": range(7), "validate": range(7, 9), "test": range(9, 12)}
"""Which pictures of each class of :func:`draw_classes` are in which list."""


def write_lists(folder, pictures):
    """Write lists of :func:`draw_classes`; ``pictures`` is its folder as the lists name it."""
    for part, numbers in LISTS.items():
        kinds = enumerate(COLOURS)
        lines = [f"{pictures}/{kind}/{number:03}.png {place}" for place, kind in kinds for number in numbers]
        write(("\n".join(lines) + "\n").encode(), folder / f"{part}_list.txt")
    write(("\n".join(COLOURS) + "\n").encode(), folder / "label_list.txt")
    return folder
