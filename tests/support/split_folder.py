"""Folders of drawn images with their lists, ready to train on."""

from pathlib import Path

import numpy as np

from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from support.images import draw_marked_tree, draw_tree


def write_lists(
    pics: Path, *, validate: int | str = 4, test: int | str = 4, train: int | None = None, seed: int = 0
) -> Path:
    """Split a folder of classes, write its lists beside it, and return the folder of the lists.

    ``validate`` and ``test`` are images per class (4) or shares ("20%"). Lists that exist are replaced.
    """
    request = SplitRequest(SplitSize.parse(validate), SplitSize.parse(test), train, seed)
    make_split(scan_classes(pics), request).write(pics.parent, force=True)
    return pics.parent


def draw_split(
    base: Path,
    classes: dict[str, int],
    *,
    validate: int | str = 4,
    test: int | str = 4,
    size: int = 40,
    noise: float = 60.0,
) -> Path:
    """Draw classes in ``base/pics``, write their lists in ``base``, and return ``base``."""
    return write_lists(
        draw_tree(base / "pics", classes, size=size, noise=noise), validate=validate, test=test
    )


def draw_faint_split(
    base: Path, *, each: int = 16, validate: int = 4, test: int = 4, difference: int = 6
) -> Path:
    """Draw classes a, b and c that differ so little in brightness that some images are misclassified."""

    def tint(pixels: np.ndarray, name: str) -> None:
        pixels += difference * ("abc".index(name) - 1)

    pics = draw_marked_tree(base / "pics", dict.fromkeys("abc", each), tint)
    return write_lists(pics, validate=validate, test=test)
