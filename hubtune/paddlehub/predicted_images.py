"""The images of a prediction: where they are, and their scores as PaddleHub gives them."""

import os
from collections.abc import Sequence
from os.path import lexists
from pathlib import Path
from typing import Any

import numpy as np

import hubtune
from hubtune.data.listed_paths import find_files
from hubtune.errors import DataError, UsageError
from hubtune.inference.label_matching import match_labels
from hubtune.log import logger
from hubtune.text import escaped, first_few


def locate_images(images: list[Any], base: Path) -> list[Any]:
    """Replace written paths by those that exist, in the current folder or from ``base``; arrays stay.

    Raises:
        DataError: if some do not exist, or are folders.
        UsageError: if there are pairs of path and label.
    """
    pairs = [image for image in images if isinstance(image, tuple)]
    if pairs:
        raise UsageError(f"Give the paths alone, [path for path, label in …], not {pairs[0]!r}")
    written = {
        place: os.fspath(image) for place, image in enumerate(images) if isinstance(image, str | os.PathLike)
    }
    missing = [place for place, path in written.items() if not lexists(path)]
    for root, others in ((Path(), False), (base, True)):
        found = find_files([written[place] for place in missing], root, other_roots=others)
        for place, path in zip(missing, found.paths, strict=True):
            if path is not None:
                images[place] = root / path
        missing = [place for place, path in zip(missing, found.paths, strict=True) if path is None]
        for remark in found.remarks:
            logger.info("%s", remark)
    if missing:
        names = [written[place] for place in missing]
        in_current = Path(names[0]).parent.is_dir()
        hint = find_files(names[:1], Path(), other_roots=False).hint if in_current else found.hint
        raise DataError(
            f"{len(names)} of the {len(images)} pictures to predict do not exist: "
            f"{escaped(first_few(names))}. Relative paths start from {Path.cwd()}, or else from {base}.{hint}"
        )
    folders = [path for place, path in written.items() if Path(images[place]).is_dir()]
    if folders:
        raise DataError(
            f"{len(folders)} of the {len(images)} pictures to predict are folders: "
            f"{escaped(first_few(folders))}. Give the paths of the files in them"
        )
    return images


def score_matrix(rows: Sequence[hubtune.Prediction], labels: Sequence[str]) -> np.ndarray:
    """Probabilities ``[images, classes]``, float32; ``nan`` for an unreadable image."""
    first = next((row for row in rows if row.error is None), None)
    if first is not None:
        match_labels([*first.scores], labels, remap_by_name=True)  # refuses other classes
    missing = [np.nan] * len(labels)
    scores = [missing if row.error else [row.scores[name] for name in labels] for row in rows]
    return np.array(scores, dtype=np.float32).reshape(-1, len(labels))
