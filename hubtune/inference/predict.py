"""The one way from pictures to scores: evaluation, prediction and serving all go through here."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.data.loader import Batch, load_batches
from hubtune.inference.engine import Engine, Rows
from hubtune.inference.feature_cache import Space


@dataclass(frozen=True)
class BackboneOutput:
    """What a network makes of a picture.

    Attributes:
        path: the picture.
        rows: the network's output for each view; ``None`` where the picture cannot be read.
        error: why it cannot be read; ``None`` where it can.
        sum: SHA-256 of the file's content, where a cache was asked; else ``None``.
    """

    path: Path
    rows: list[np.ndarray] | None
    error: ImageError | None = None
    sum: bytes | None = None


@dataclass(frozen=True)
class ImageScores:
    """What a classifier says of a picture.

    Attributes:
        path: the picture.
        values: the classes' probabilities, float64; ``None`` where the picture cannot be read.
        error: why it cannot be read; ``None`` where it can.
    """

    path: Path
    values: np.ndarray | None
    error: ImageError | None = None


def predict_scores(
    engine: Engine, views: Sequence[Preprocessing], paths: Sequence[Path], *, batch_size: int, workers: int
) -> Iterator[ImageScores]:
    """Score pictures: one outcome a picture, in order.

    A picture's scores depend on that picture alone, not on what it is batched with.

    Args:
        engine: the network, pictures → logits ``[classes]``.
        views: the ways each picture is looked at; the logits are averaged over them.
        paths: the pictures.
        batch_size: pictures that the network sees at once.
        workers: threads that decode.

    Raises:
        MachineError: if a picture does not load at all.
    """
    for output in run_images(engine, views, paths, batch_size=batch_size, workers=workers):
        values = None if output.rows is None else softmax(mean_of(output.rows))
        yield ImageScores(output.path, values, output.error)


def mean_of(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of a picture's rows in its views, in float64."""
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn the logits of a picture into probabilities, in float64.

    With many classes the sum of float32 exponentials would cost the sixth digit.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


def run_images(
    engine: Engine,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
    spaces: Sequence[Space] = (),
) -> Iterator[BackboneOutput]:
    """Run pictures through a network: one output a picture, in order.

    Args:
        engine: the network.
        views: the ways each picture is looked at.
        paths: the pictures.
        batch_size: pictures that the network sees at once.
        workers: threads that decode.
        spaces: where the rows of each view are kept, and looked up before anything is computed; none: each is
            computed and nothing is kept.

    Raises:
        MachineError: if a picture does not load at all.
    """

    def prepare(index: int) -> _Prepared:
        path = paths[index]
        if not spaces:
            return _Prepared(preprocess_views(path, views), [None] * len(views))
        content = read_content(path)
        digest = hashlib.sha256(content).digest()
        rows = [space.get(digest) for space in spaces]
        missing = [view for view, row in zip(views, rows, strict=True) if row is None]
        return _Prepared(preprocess_views(path, missing, content) if missing else [], rows, digest)

    batches = [
        range(start, min(start + batch_size, len(paths))) for start in range(0, len(paths), batch_size)
    ]
    begun: _Begun | None = None
    for indices, batch in zip(batches, load_batches(paths, batches, prepare, workers=workers), strict=True):
        # Begun before the batch ahead of it is waited for, so that the engine is never without work.
        arrays = [array for prepared in batch.arrays for array in prepared.arrays]
        ahead, begun = begun, _Begun(indices, batch, engine.begin(arrays) if arrays else list)
        if ahead is not None:
            yield from _outputs(ahead, paths, spaces)
    if begun is not None:
        yield from _outputs(begun, paths, spaces)


@dataclass
class _Prepared:
    """A picture's missing inputs, and its rows, ``None`` where they are missing."""

    arrays: list[np.ndarray]
    rows: list[Any]
    sum: bytes | None = None


class _Begun(NamedTuple):
    """A batch that the engine works on."""

    indices: range
    batch: Batch[_Prepared]
    rows: Rows


def _outputs(begun: _Begun, paths: Sequence[Path], spaces: Sequence[Space]) -> Iterator[BackboneOutput]:
    computed = iter(begun.rows())
    outputs = {}
    for index, prepared in zip(begun.batch.indices, begun.batch.arrays, strict=True):
        for number, row in enumerate(prepared.rows):
            if row is None:
                prepared.rows[number] = new = next(computed)
                if prepared.sum is not None:
                    spaces[number].put(prepared.sum, new)
        outputs[index] = prepared
    for index in begun.indices:
        if index in outputs:
            yield BackboneOutput(paths[index], list(outputs[index].rows), sum=outputs[index].sum)
        else:
            yield BackboneOutput(paths[index], None, begun.batch.bad[index])


def sample_of(views: Sequence[Preprocessing], paths: Sequence[Path], count: int = 1) -> list[np.ndarray]:
    """Some inputs, of the first pictures that can be read, to hold an engine against Paddle on.

    Args:
        views: the ways to look at them.
        paths: the pictures.
        count: how many; fewer where fewer of the first hundred can be read.
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
