"""How well a model tells images of no class of its own from known ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubtune.evaluation.separation import auroc, auroc_interval
from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference


@dataclass(frozen=True)
class UnknownFigures:
    """Figures of unknown images beside known ones.

    Attributes:
        count: number of readable unknown images.
        unreadable: number of unknown images that cannot be read.
        rejected: share of the unknown images that get no label with rejection.
        known_rejected: share of the known images that get none.
        auroc: chance that a known image is more similar to a training image than an unknown one; ``None``
            without images on one side.
        interval: 95 % confidence interval of it.
        auroc_of_score: the same for the highest score, which says less about it.
        classes: class name → the same for its own images, with its training images taken away: the hard case,
            a new class of the same kind. ``None`` for a class that cannot be judged.
    """

    count: int
    unreadable: int
    rejected: float | None
    known_rejected: float | None
    auroc: float | None
    interval: tuple[float, float] | None
    auroc_of_score: float | None
    classes: dict[str, float | None]

    @property
    def class_left_out(self) -> float | None:
        """The mean over the classes that can be judged; ``None`` if none can."""
        values = [value for value in self.classes.values() if value is not None]
        return float(np.mean(values)) if values else None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**vars(self), "class_left_out": self.class_left_out}


def measure_unknown(
    reference: Reference,
    threshold: float,
    labels: Sequence[str],
    known: tuple[Sequence[ImageScores], Sequence[int]],
    unknown: Sequence[ImageScores],
) -> UnknownFigures:
    """Compare unknown images with known ones.

    Args:
        reference: the training images.
        threshold: similarity from which images are known.
        labels: class names.
        known: scores of images of the model's classes that it was not trained on, and their class numbers.
        unknown: scores of other images.
    """
    results, truth = known
    pairs = [(result, label) for result, label in zip(results, truth, strict=True) if _is_usable(result)]
    usable = [result for result in unknown if _is_usable(result)]
    similar, nearest, further = reference.similarities_of_two(_features([result for result, _ in pairs]))
    other = reference.similarities(_features(usable))
    area = auroc(similar, other)
    own = np.array([label for _, label in pairs])
    return UnknownFigures(
        count=len(usable),
        unreadable=len(unknown) - len(usable),
        rejected=float((other < threshold).mean()) if len(other) else None,
        known_rejected=float((similar < threshold).mean()) if len(similar) else None,
        auroc=area,
        interval=None if area is None else auroc_interval(area, len(similar), len(other)),
        auroc_of_score=auroc(_highest([result for result, _ in pairs]), _highest(usable)),
        classes={
            label: _left_out(reference, number, np.where(nearest == number, further, similar), own)
            for number, label in enumerate(labels)
        },
    )


def _left_out(reference: Reference, label: int, similarities: np.ndarray, own: np.ndarray) -> float | None:
    """Return the area for a class, given the similarities of known images to those of other classes."""
    if (reference.labels == label).all() or not (own == label).any():
        return None
    return auroc(similarities[own != label], similarities[own == label])


def _is_usable(result: ImageScores) -> bool:
    return result.values is not None and result.features is not None


def _features(results: Sequence[ImageScores]) -> np.ndarray:
    return np.array([result.features for result in results if result.features is not None], np.float32)


def _highest(results: Sequence[ImageScores]) -> list[float]:
    return [float(result.values.max()) for result in results if result.values is not None]
