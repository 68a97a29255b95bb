"""From images to class probabilities, in one way for evaluation, prediction and serving."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.data.images.bit_depth import used_bits
from hubtune.data.images.decode import Content, ImageError, open_image
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine_interface import Engine
from hubtune.inference.extract import BackboneOutput, run_images
from hubtune.log import logger

# Probabilities that underflowed to 0 have finite logarithms.
_LEAST = 1e-300


@dataclass(frozen=True)
class ImageScores:
    """The scores of one image, or the reason why it cannot be read.

    Attributes:
        values: probabilities of the classes or labels, float64 ``[classes]``.
        features: pooled features of unit length, float32 ``[width]``; ``None`` if they were not computed.
    """

    path: Path
    values: np.ndarray | None
    error: ImageError | None = None
    features: np.ndarray | None = None


@dataclass(frozen=True)
class Outputs:
    """What the logits of a network are of.

    Attributes:
        count: number of classes, or of labels.
        multi_label: whether an image may have several labels, so that each has a probability of its own.
    """

    count: int
    multi_label: bool = False

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the probabilities of an image, float64 ``[count]``, from its logits."""
        if not self.multi_label:
            return softmax(logits)
        values = logits.astype(np.float64)
        # Of the negative magnitude: the power cannot overflow.
        powers = np.exp(-np.abs(values))
        return np.asarray(np.where(values >= 0, 1.0, powers) / (1 + powers))

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """Return logits with these probabilities: a softmax does not change if its logits are shifted."""
        logs = np.log(np.maximum(probabilities, _LEAST))
        return logs - np.log(np.maximum(1 - probabilities, _LEAST)) if self.multi_label else logs


def predict_scores(
    engine: Engine,
    views: Sequence[Preprocessing],
    paths: Sequence[Path],
    *,
    answers: Outputs,
    batch_size: int,
    workers: int,
    contents: Sequence[Content | None] = (),
) -> Iterator[ImageScores]:
    """Return the scores of each image, in order; they do not depend on the other images of its batch.

    The engine maps an image to its logits ``[count]``, which are averaged over the views, and may append
    features of unit length. Other arguments and errors are those of
    :func:`~hubtune.inference.extract.run_images`.
    """
    outputs = run_images(engine, views, paths, batch_size=batch_size, workers=workers, contents=contents)
    return scores_of_outputs(outputs, answers)


def scores_of_outputs(outputs: Iterable[BackboneOutput], answers: Outputs) -> Iterator[ImageScores]:
    """Yield the scores of images, whose rows are logits ``[count]`` and perhaps features."""
    for output in outputs:
        if output.rows is None:
            yield ImageScores(output.path, None, output.error)
            continue
        yield scores_of_rows(output.path, output.rows, answers)


def scores_of_rows(path: Path, rows: Sequence[np.ndarray], answers: Outputs) -> ImageScores:
    """Return the scores of an image from the engine's rows, one for each view."""
    scores = answers.probabilities(mean_rows([row[: answers.count] for row in rows]))
    features = [row[answers.count :] for row in rows]
    return ImageScores(path, scores, None, unit_mean(features) if features[0].size else None)


def mean_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn the logits of an image into probabilities, in float64.

    With many classes, the sum of float32 exponentials would be wrong in the sixth digit.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


def unit_mean(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of an image's features in its views, each of unit length; again of unit length."""
    mean = np.mean([_unit(row.astype(np.float64)) for row in rows], axis=0)
    return _unit(mean).astype(np.float32)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / max(float(np.sqrt(values @ values)), 1e-12)


def name_clipped(
    results: Iterator[ImageScores], contents: Sequence[Content | None], bits: int
) -> Iterator[ImageScores]:
    """Pass the scores of images on, and name those of 16 bits that use more than the model's bits."""
    # Decoded a second time, which only models of such images pay; during training, nobody would want it.
    for number, result in enumerate(results):
        with suppress(ImageError), open_image(result.path, contents[number] if contents else None) as image:
            if (used := used_bits(image)) > bits:
                logger.warning(
                    "%s uses %d bits, but the model scales pictures of 16 bits by 2^%d: brighter values are "
                    "cut off",
                    *(result.path, used, bits),
                )
        yield result
