"""Whether the cache has room for activations, before time is spent on them."""

import os
from collections.abc import Sequence
from pathlib import Path

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone


def check_room(
    trunk: FrozenBackbone,
    cache: FeatureCache,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    count: int,
    *,
    solved: Path | None,
) -> None:
    """Refuse activations that the cache has no room for.

    Args:
        trunk: what computes them; of the first picture, it does.
        cache: where they are to be kept.
        views: those that will be computed; before the head is solved, one that takes as little as any.
        paths: pictures.
        count: of how many pictures they are to be kept.
        solved: the model of strategy ``frozen``; ``None`` before the head is solved.

    Raises:
        MachineError: the limit is too small, or the cache cannot be written.
    """
    size = 0
    for path in paths:
        [output] = trunk.outputs(views, [path], batch_size=1, workers=1)
        if output.rows is not None:
            size = sum(row.nbytes for row in output.rows)
            break
    needed = count * size
    about, instead, margin = "about", f"take the model of strategy frozen: {solved}", 1.1
    if solved is None:  # more and larger views may be chosen
        about, instead, margin = "at least", "take strategy frozen", 4.4
    keeps = (
        f"Strategy last_stage keeps {about} {needed / 1e6:,.1f} MB, activations of {count:,} pictures in "
        f"{len(views)} view{'s' if len(views) > 1 else ''}"
    )
    if needed > cache.limit:
        raise MachineError(
            f"{keeps}, and the cache may take {cache.limit / 1e6:,.1f} MB: set HUBTUNE_CACHE_SIZE="
            f"{-(-round(needed * margin) // 10**9)}GB, or {instead}"
        )
    if not can_be_written(cache):
        raise MachineError(
            f"{keeps}, and the cache cannot be written ({cache.folder}): set HUBTUNE_HOME to another folder, "
            f"or {instead}"
        )


def can_be_written(cache: FeatureCache) -> bool:
    """Whether the cache's folder, or what it would be made in, can be written; nothing is."""
    folder = cache.folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return cache.writable and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
