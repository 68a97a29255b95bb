"""From images to class probabilities, in one way for evaluation, prediction and serving."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.data.images.decode import Content, ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine_interface import Engine
from hubtune.inference.extract import run_images


@dataclass(frozen=True)
class ImageScores:
    """Class probabilities of one image, float64 ``[classes]``, or the reason why it cannot be read."""

    path: Path
    values: np.ndarray | None
    error: ImageError | None = None


def predict_scores(
    engine: Engine,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
    contents: Sequence[Content | None] = (),
) -> Iterator[ImageScores]:
    """Yield the scores of each image, in order; they do not depend on the other images of its batch.

    The engine maps an image to logits ``[classes]``, which are averaged over the views. Other arguments and
    errors are those of :func:`~hubtune.inference.extract.run_images`.
    """
    outputs = run_images(engine, views, paths, batch_size=batch_size, workers=workers, contents=contents)
    for output in outputs:
        values = None if output.rows is None else softmax(mean_rows(output.rows))
        yield ImageScores(output.path, values, output.error)


def mean_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn the logits of an image into probabilities, in float64.

    With many classes, the sum of float32 exponentials would be wrong in the sixth digit.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()
