"""The one way from pictures to scores: evaluation, prediction and serving all go through here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from hubtune.data.image import PictureError, Preprocessing, decode
from hubtune.data.loader import load_batches
from hubtune.models.classifier import run_by_shape


@dataclass(frozen=True)
class Outcome:
    """What a network says of a picture.

    Attributes:
        path: the picture.
        values: the network's output, float64; ``None`` where the picture cannot be read.
        error: why it cannot be read; ``None`` where it can.
    """

    path: Path
    values: np.ndarray | None
    error: PictureError | None = None


def predict_scores(
    classifier: nn.Layer,
    preprocessing: Preprocessing,
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[Outcome]:
    """Score pictures: one outcome a picture, in order, its values the classes' probabilities.

    A picture's scores depend on that picture alone, not on what it is batched with.

    Args:
        classifier: the network, pictures ``[N, 3, h, w]`` → logits ``[N, classes]``.
        preprocessing: how pictures enter it.
        paths: the pictures.
        batch_size: pictures that the network sees at once.
        workers: threads that decode.

    Raises:
        MachineError: if a picture does not load at all.
    """
    classifier.eval()
    for outcome in run_pictures(classifier, preprocessing, paths, batch_size=batch_size, workers=workers):
        if outcome.values is None:
            yield outcome
        else:
            # In float64: with many classes the sum of float32 exponentials would cost the sixth digit.
            powers = np.exp(outcome.values - outcome.values.max())
            yield Outcome(outcome.path, powers / powers.sum())


def run_pictures(
    network: Callable[[paddle.Tensor], paddle.Tensor],
    preprocessing: Preprocessing,
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[Outcome]:
    """Run pictures through a network without gradients: one outcome a picture, in order.

    Args:
        network: maps ``[N, 3, h, w]`` to ``[N, d]``; the values are its rows.
        preprocessing: how pictures enter it.
        paths: the pictures.
        batch_size: pictures that the network sees at once.
        workers: threads that decode.

    Raises:
        MachineError: if a picture does not load at all.
    """
    batches = [
        range(start, min(start + batch_size, len(paths))) for start in range(0, len(paths), batch_size)
    ]
    loaded = load_batches(paths, batches, lambda index: preprocessing(decode(paths[index])), workers=workers)
    for indices, batch in zip(batches, loaded, strict=True):
        rows = {}
        if batch.arrays:
            with paddle.no_grad():
                values = run_by_shape(network, batch.arrays).numpy().astype(np.float64)
            rows = dict(zip(batch.indices, values, strict=True))
        for index in indices:
            yield Outcome(paths[index], rows.get(index), batch.bad.get(index))
