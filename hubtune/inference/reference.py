"""Whether an image is of the kind that a model was trained on: its similarity to training images.

The similarity is the largest cosine between the features of the image and those of a training image (Sun et
al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022, with one neighbour). The highest
score cannot tell: it is high for images of no class at all.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hubtune.errors import ModelError
from hubtune.evaluation.answers import Answers, collect
from hubtune.evaluation.label_answers import LabelAnswers, collect_labels
from hubtune.inference.predict import ImageScores

REFERENCE_FILE = "reference.safetensors"
"""Features of training images, in a model folder."""

KNOWN_SHARE = 0.95
"""Chance of a known image that its similarity reaches the threshold."""

# By which the threshold is lower, so that images at it are known whatever engine computes their features.
_MARGIN = 1e-4
# Similarities that are computed at once.
_CHUNK = 512


class Neighbour(NamedTuple):
    """The training image that is most similar to an image: their cosine, its label, and its base name."""

    similarity: float
    label: int
    name: str


@dataclass(frozen=True)
class Reference:
    """Features of training images.

    Attributes:
        features: of unit length, float16 ``[M, width]``.
        labels: class number of each ``[M]``.
        names: base name of each file.
    """

    features: np.ndarray
    labels: np.ndarray
    names: list[str]

    @cached_property
    def _rows(self) -> np.ndarray:
        return self.features.astype(np.float32)

    def nearest(self, features: np.ndarray) -> Neighbour:
        """Return the training image that is most similar to an image with these features ``[width]``."""
        self._check_width(features)
        # Not by @, whose threads take longer to start than so few numbers take to multiply.
        cosines = np.einsum("mw,w->m", self._rows, features.astype(np.float32))
        best = int(cosines.argmax())
        return Neighbour(_cosine(cosines[best]), int(self.labels[best]), self.names[best])

    def similarities(self, features: np.ndarray) -> np.ndarray:
        """Return the largest cosine of each row of features of unit length ``[N, width]``, ``[N]``."""
        return self.similarities_of_two(features)[0]

    def similarities_of_two(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the two classes that images are most similar to, by their nearest training images.

        Args:
            features: of images, of unit length ``[N, width]``.

        Returns:
            The largest cosine of each row, float64 ``[N]``; the class number of its training image; and the
            largest cosine to a training image of another class, -1 without one.
        """
        self._check_width(features)
        first, second = np.zeros(len(features)), np.full(len(features), -1.0)
        labels = np.zeros(len(features), np.int64)
        for start in range(0, len(features), _CHUNK):
            part = slice(start, start + _CHUNK)
            cosines = features[part] @ self._rows.T
            labels[part] = self.labels[cosines.argmax(axis=1)]
            first[part] = np.minimum(cosines.max(axis=1), 1.0)
            cosines[labels[part, None] == self.labels] = -1.0
            second[part] = np.minimum(cosines.max(axis=1), 1.0)
        return first, labels, second

    def left_out_similarities(self, keys: Sequence[object]) -> np.ndarray:
        """Return the similarity of each training image to those of other groups, float64 ``[M]``.

        ``keys`` name the group of each. NaN where all are of one group.
        """
        numbers = np.unique([str(key) for key in keys], return_inverse=True)[1]
        values = np.full(len(numbers), np.nan)
        for start in range(0, len(numbers), _CHUNK):
            part = slice(start, start + _CHUNK)
            cosines = self._rows[part] @ self._rows.T
            cosines[numbers[part, None] == numbers] = -np.inf
            best = cosines.max(axis=1)
            values[part] = np.where(np.isfinite(best), np.minimum(best, 1.0), np.nan)
        return values

    def _check_width(self, features: np.ndarray) -> None:
        if features.size and features.shape[-1] != self.features.shape[1]:
            raise ModelError(
                f"The model's {REFERENCE_FILE} has features of {self.features.shape[1]} numbers, and its "
                f"network of {features.shape[-1]}: get a good copy of the model"
            )

    def encode(self) -> bytes:
        """Return the content of the file."""
        features, labels = self.features.astype(np.float16), self.labels.astype(np.int32)
        return save({"features": features, "labels": labels}, {"names": json.dumps(self.names)})


def collect_answers(
    results: Iterable[ImageScores], truth: Sequence[int], reference: Reference | None
) -> Answers:
    """Reduce the scores of images to answers, with the training image that is most similar to each.

    Args:
        results: the scores of each image, in the order of ``truth``.
        truth: the true class of each image.
        reference: the training images; ``None``: similarities are unknown.
    """
    if reference is None:
        return collect(results, truth)
    neighbours: list[Neighbour | None] = []
    answers = collect(_with_neighbours(results, reference, neighbours), truth)
    return replace(answers, **_similarities(neighbours))


def collect_label_answers(
    results: Iterable[ImageScores],
    truth: np.ndarray,
    thresholds: Sequence[float],
    reference: Reference | None,
) -> LabelAnswers:
    """Collect multi-label answers as :func:`collect_answers`; ``truth`` is bool ``[N, labels]``."""
    if reference is None:
        return collect_labels(results, truth, np.array(thresholds))
    neighbours: list[Neighbour | None] = []
    watched = _with_neighbours(results, reference, neighbours)
    return replace(collect_labels(watched, truth, np.array(thresholds)), **_similarities(neighbours))


def _with_neighbours(
    results: Iterable[ImageScores], reference: Reference, neighbours: list[Neighbour | None]
) -> Iterator[ImageScores]:
    """Pass results on, and append the nearest training image of each to ``neighbours``."""
    for result in results:
        neighbours.append(None if result.features is None else reference.nearest(result.features))
        yield result


def _similarities(neighbours: Sequence[Neighbour | None]) -> dict[str, Any]:
    similarity = np.array([np.nan if each is None else each.similarity for each in neighbours])
    return {"similarity": similarity, "nearest": [each and each.name for each in neighbours]}


def read_reference(file: Path, num_classes: int) -> Reference:
    """Read the file of :meth:`Reference.encode` of a model with this number of classes.

    Raises:
        ModelError: if it is not such a file.
    """
    try:
        with safe_open(file, framework="numpy") as opened:
            names = json.loads((opened.metadata() or {})["names"])
            features, labels = opened.get_tensor("features"), opened.get_tensor("labels")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not a file of training images' features: get a good copy") from error
    fits = isinstance(names, list) and features.dtype == np.float16 and features.ndim == 2
    fits = fits and labels.shape == (len(features),) and len(features) == len(names) > 0
    fits = fits and bool(np.isfinite(features).all() and np.isin(labels, np.arange(num_classes)).all())
    if not fits or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{file} does not go with the model: get a good copy of it")
    return Reference(features, labels.astype(np.int64), names)


def similarity_threshold(similarities: np.ndarray) -> float | None:
    """Return the threshold that other known images reach with a chance of 95 % or more.

    A further image is below the k-th lowest of N similarities with a chance of k / (N + 1) (split conformal
    prediction: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). Of less than 19,
    the threshold is the lowest.

    Args:
        similarities: of known images ``[N]``.

    Returns:
        The threshold; ``None`` if there are no finite values.
    """
    known = np.sort(similarities[np.isfinite(similarities)])
    rank = int((1 - KNOWN_SHARE) * (len(known) + 1))
    return float(known[max(rank - 1, 0)]) - _MARGIN if len(known) else None


def _cosine(value: float) -> float:
    return min(float(value), 1.0)  # rounding may exceed it
