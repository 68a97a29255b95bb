"""Running images through an engine: decoded in threads, computed in batches, cached if asked for."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hubtune.data.images.decode import Content, ImageError, read_content
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.loader import Batch, load_batches
from hubtune.data.shards.members import find_member
from hubtune.hardware.memory import out_of_memory, ran_out_of_memory
from hubtune.inference.engine_interface import Engine
from hubtune.inference.feature_cache import Space
from hubtune.inference.openvino_program import PendingRows


@dataclass(frozen=True)
class BackboneOutput:
    """Output of a network for one image: a row for each view, or the reason why it cannot be read."""

    path: Path
    rows: list[np.ndarray] | None
    error: ImageError | None = None
    digest: bytes | None = None  # SHA-256 of the file's content, with a cache


def run_images(
    engine: Engine,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
    spaces: Sequence[Space] = (),
    contents: Sequence[Content | None] = (),
) -> Iterator[BackboneOutput]:
    """Run images through a network; yields one output for each image, in order.

    The engine gets ``batch_size`` images at once, which ``workers`` threads decode, in each of the views. The
    ``spaces`` are the cache of each view; without them everything is computed, and nothing is stored. The
    ``contents`` of images in memory, in the order of the paths, are computed only.

    Raises:
        MachineError: if an image does not load within two minutes, or memory does not hold a batch.
    """

    def prepare(index: int) -> _Prepared:
        path = paths[index]
        if not spaces:
            in_memory = contents[index] if contents else None
            return _Prepared(preprocess_views(path, views, in_memory), [None] * len(views))
        content: bytes | None = None
        if (member := find_member(path)) is None:
            content = read_content(path)
            digest = hashlib.sha256(content).digest()
        else:  # what is in the cache is not read again: its shard may have to be fetched
            digest = member.sha256
        # One query for a whole batch would save 0.02 ms an image, of 0.05: not worth a second pass over it.
        rows = [space.get(digest) for space in spaces]
        missing = [view for view, row in zip(views, rows, strict=True) if row is None]
        return _Prepared(preprocess_views(path, missing, content) if missing else [], rows, digest)

    starts = range(0, len(paths), batch_size)
    batches = [range(start, min(start + batch_size, len(paths))) for start in starts]
    previous: Iterator[BackboneOutput] = iter(())
    cached = _in_cache(paths, spaces)
    for batch in load_batches(paths, batches, prepare, workers=workers, unread=cached):
        # The next batch begins before this one is waited for, so that the engine never idles in between.
        arrays = [array for prepared in batch.arrays for array in prepared.arrays]
        with _memory_for(arrays):
            pending: PendingRows = engine.begin(arrays) if arrays else list
        yield from previous
        previous = _outputs(batch, pending, paths, spaces)
    yield from previous


def _in_cache(paths: Sequence[Path], spaces: Sequence[Space]) -> list[int]:
    """Return the indices of images in shards of a bucket of which the cache has all outputs."""
    members = ((index, find_member(path)) for index, path in enumerate(paths) if spaces)
    return [
        index
        for index, member in members
        if member is not None
        and member.shard.address is not None
        and all(space.get(member.sha256) is not None for space in spaces)
    ]


@contextmanager
def _memory_for(arrays: Sequence[np.ndarray]) -> Iterator[None]:
    """Turn the end of memory into a ``MachineError`` that names the batch."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        from hubtune.inference.memory import free_bytes  # which imports Paddle

        raise out_of_memory(len(arrays), arrays[0].shape[:2], free=free_bytes()) from error


class _Prepared(NamedTuple):
    """Inputs of an image in the views that the cache lacks, and the rows that it has."""

    arrays: list[np.ndarray]
    rows: list[np.ndarray | None]
    digest: bytes | None = None


def _outputs(
    batch: Batch[_Prepared], pending: PendingRows, paths: Sequence[Path], spaces: Sequence[Space]
) -> Iterator[BackboneOutput]:
    with _memory_for([array for prepared in batch.arrays for array in prepared.arrays]):
        computed = iter(pending())
    outputs = {index: BackboneOutput(paths[index], None, error) for index, error in batch.bad.items()}
    for index, prepared in zip(batch.indices, batch.arrays, strict=True):
        rows = []
        for view, cached in enumerate(prepared.rows):
            row = next(computed) if cached is None else cached
            if cached is None and prepared.digest is not None:
                spaces[view].put(prepared.digest, row)
            rows.append(row)
        outputs[index] = BackboneOutput(paths[index], rows, digest=prepared.digest)
    yield from (outputs[index] for index in sorted(outputs))


def sample_inputs(views: Sequence[Preprocessing], paths: Sequence[Path], count: int = 1) -> list[np.ndarray]:
    """Return inputs of the first readable images, to check an engine with.

    There is one uint8 array ``[h, w, channels]`` for each of ``count`` images and each view; fewer if fewer
    of the first hundred images can be read.
    """
    arrays: list[np.ndarray] = []
    for path in paths[:100]:
        if len(arrays) >= count * len(views):
            break
        with suppress(ImageError):
            arrays += preprocess_views(path, views)
    return arrays
