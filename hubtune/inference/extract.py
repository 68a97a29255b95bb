"""Running images through an engine: decoded in threads, computed in batches, cached if asked for."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.loader import Batch, load_batches
from hubtune.inference.engine import Engine, PendingRows
from hubtune.inference.feature_cache import Space


@dataclass(frozen=True)
class BackboneOutput:
    """Output of a network for one image.

    Attributes:
        path: the image file.
        rows: the network's output for each view; ``None`` if the image cannot be read.
        error: why it cannot be read; ``None`` if it can.
        digest: SHA-256 of the file's content; ``None`` without a cache.
    """

    path: Path
    rows: list[np.ndarray] | None
    error: ImageError | None = None
    digest: bytes | None = None


def run_images(
    engine: Engine,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
    spaces: Sequence[Space] = (),
) -> Iterator[BackboneOutput]:
    """Run images through a network.

    Args:
        engine: the network.
        views: the preprocessings of each image.
        paths: the images.
        batch_size: images that the engine gets at once.
        workers: threads that decode.
        spaces: the cache of each view; without them everything is computed, and nothing is stored.

    Yields:
        One output for each image, in order.

    Raises:
        MachineError: if an image does not load within two minutes.
    """

    def prepare(index: int) -> _Prepared:
        path = paths[index]
        if not spaces:
            return _Prepared(preprocess_views(path, views), [None] * len(views))
        content = read_content(path)
        digest = hashlib.sha256(content).digest()
        # One query for a whole batch would save 0.02 ms an image, of 0.05: not worth a second pass over it.
        rows = [space.get(digest) for space in spaces]
        missing = [view for view, row in zip(views, rows, strict=True) if row is None]
        return _Prepared(preprocess_views(path, missing, content) if missing else [], rows, digest)

    batches = [
        range(start, min(start + batch_size, len(paths))) for start in range(0, len(paths), batch_size)
    ]
    current: _Running | None = None
    for indices, batch in zip(batches, load_batches(paths, batches, prepare, workers=workers), strict=True):
        # The next batch begins before this one is waited for, so that the engine never idles in between.
        arrays = [array for prepared in batch.arrays for array in prepared.arrays]
        previous, current = current, _Running(indices, batch, engine.begin(arrays) if arrays else list)
        if previous is not None:
            yield from _outputs(previous, paths, spaces)
    if current is not None:
        yield from _outputs(current, paths, spaces)


@dataclass
class _Prepared:
    """Inputs of an image in the views that the cache lacks, and the rows that it has."""

    arrays: list[np.ndarray]
    rows: list[np.ndarray | None]
    digest: bytes | None = None


class _Running(NamedTuple):
    """A batch in the engine."""

    indices: range
    batch: Batch[_Prepared]
    pending: PendingRows


def _outputs(running: _Running, paths: Sequence[Path], spaces: Sequence[Space]) -> Iterator[BackboneOutput]:
    computed = iter(running.pending())
    outputs = {}
    for index, prepared in zip(running.batch.indices, running.batch.arrays, strict=True):
        rows = []
        for view, cached in enumerate(prepared.rows):
            row = next(computed) if cached is None else cached
            if cached is None and prepared.digest is not None:
                spaces[view].put(prepared.digest, row)
            rows.append(row)
        outputs[index] = BackboneOutput(paths[index], rows, digest=prepared.digest)
    for index in running.indices:
        yield outputs.get(index) or BackboneOutput(paths[index], None, running.batch.bad[index])


def sample_inputs(views: Sequence[Preprocessing], paths: Sequence[Path], count: int = 1) -> list[np.ndarray]:
    """Return inputs of the first readable images, to check an engine with.

    Args:
        views: the preprocessings of each image.
        paths: the images.
        count: number of images; fewer if fewer of the first hundred can be read.

    Returns:
        One uint8 array ``[h, w, channels]`` for each image and view.
    """
    arrays: list[np.ndarray] = []
    for path in paths[:100]:
        if len(arrays) >= count * len(views):
            break
        try:
            arrays += preprocess_views(path, views)
        except ImageError:
            continue
    return arrays
