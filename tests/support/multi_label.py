"""Drawn multi-label images: bars of colour on noise, one for each label."""

import csv

import numpy as np
from PIL import Image

LABELS = ("red", "green", "blue", "wide")
_SHARES = (0.5, 0.35, 0.25, 0.15)


def draw_labelled(folder, count, *, seed=0, difference=70):
    """Draw images ``pics/000.png``, …; return their paths below the folder, and labels, bool ``[N, 4]``."""
    random = np.random.default_rng(seed)
    (folder / "pics").mkdir(parents=True)
    truth = random.random((count, len(LABELS))) < _SHARES
    paths = []
    for number, own in enumerate(truth):
        pixels = random.integers(60, 180, (32, 32, 3)).astype(float)
        for label in np.flatnonzero(own[:3]):
            pixels[8 * label : 8 * label + 8, :, label] += difference
        if own[3]:
            pixels[24:] += difference
        name = f"pics/{number:03}.png"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name)
        paths.append(name)
    return paths, truth


def write_label_lists(folder, paths, truth, cuts=(0.6, 0.8)):
    """Write PaddleClas' lists of images in their order, and return the folder."""
    ends = [0, *(round(cut * len(paths)) for cut in cuts), len(paths)]
    for name, start, end in zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True):
        lines = [
            f"{path}\t{','.join('01'[value] for value in row.astype(int))}\n"
            for path, row in zip(paths[start:end], truth[start:end], strict=True)
        ]
        (folder / f"{name}_list.txt").write_text("".join(lines))
    (folder / "label_list.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return folder


def write_label_table(file, paths, truth):
    """Write a table with a column of 0 and 1 for each label."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["path", *LABELS])
        writer.writerows([path, *row.astype(int).tolist()] for path, row in zip(paths, truth, strict=True))
    return file


def draw_label_lists(folder, count=100, **options):
    return write_label_lists(folder, *draw_labelled(folder, count, **options))
