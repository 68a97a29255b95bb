"""Folds of a search: cross-validation on the training list, with a validation list for each fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import make_folds, split_keys
from hubtune.errors import DataError
from hubtune.recipe.schema import RunConfig
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop
from hubtune.train.data_checks import BadImages, hash_images

VALIDATE_PARTS = 10  # one in ten of a fold's training images is in its validation list

Lists = dict[str, list[ImageEntry]]
"""A fold's training, validation and test list."""


def make_search_folds(
    examples: Sequence[ImageEntry],
    groups: Mapping[Path, int],
    *,
    folds: int,
    seed: int,
    members: np.ndarray | None = None,
) -> list[Lists]:
    """Divide a training list for cross-validation; copies, and groups of paths by number, stay together.

    ``members`` are those of :func:`~hubtune.data.splits.kfold.make_folds`, for multi-label lists.

    Raises:
        DataError: if there are too few images.
    """
    labels = np.array([example.label for example in examples], dtype=np.int64)
    keys = split_keys(examples, groups)
    divided: list[Lists] = []
    for fitted, tested in make_folds(labels, keys, folds=folds, seed=seed, members=members):
        inner_keys = [keys[row] for row in fitted]
        parts = make_folds(labels[fitted], inner_keys, folds=VALIDATE_PARTS, seed=seed, members=members)
        if parts:
            validate = fitted[parts[0][1]]
            lists = {"train": np.setdiff1d(fitted, validate), "validate": validate, "test": tested}
            divided.append({name: [examples[row] for row in rows] for name, rows in lists.items()})
    if len(divided) < folds:
        raise DataError(
            f"The training list has {len(examples)} readable pictures of {len(np.unique(labels))} classes, "
            f"too few for {folds} folds of cross-validation: add pictures"
            + (", or take fewer --folds" if folds > 2 else "")
        )
    return divided


def readable_images(
    examples: list[ImageEntry], config: RunConfig, folder: RunFolder, stop: Stop
) -> list[ImageEntry]:
    """Return the readable images with their SHA-256; the others are listed in ``skipped.csv``."""
    BadImages(folder, {"train": examples}, config).check_headers(stop.check)
    bad = {path for _, path, _ in folder.read_skipped()}
    return hash_images([example for example in examples if str(example.path) not in bad], stop.check)
