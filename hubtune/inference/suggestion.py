"""Which unlabelled images to label next: unsure ones, unlike those that are there, and unlike one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubtune.inference.predict import ImageScores
from hubtune.inference.reference import Reference


@dataclass(frozen=True)
class Suggestion:
    """An image to label.

    Attributes:
        index: among the images of the pool.
        uncertainty: 1 minus the difference of the two highest scores, 0 to 1; of a multi-label model, that of
            the probabilities that the least sure label is true and not.
        novelty: 1 minus the largest cosine to a training image or an image suggested before, 0 to 1.
    """

    index: int
    uncertainty: float
    novelty: float


def suggest_images(
    results: Sequence[ImageScores], reference: Reference | None, count: int, *, multi_label: bool = False
) -> list[Suggestion]:
    """Choose images one by one: each has the largest product of uncertainty and novelty.

    The novelty is that of a k-centre search (Sener and Savarese, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", 2018), so that images of one thing are not suggested together. Equal
    images, and images that cannot be read, are never suggested.

    Args:
        results: the scores and features of the pool.
        reference: the training images; ``None``: unknown, and only the pool's own images count.
        count: number of images to choose; fewer are returned if there are not as many different ones.
        multi_label: whether each label has a probability of its own.
    """
    usable = [
        number
        for number, result in enumerate(results)
        if result.values is not None and result.features is not None
    ]
    if not usable:
        return []
    scores = np.sort(np.array([results[number].values for number in usable]), axis=1)
    if multi_label:
        margin = np.abs(2 * scores - 1).min(axis=1)
    else:
        margin = scores[:, -1] - scores[:, -2] if scores.shape[1] > 1 else np.zeros(len(usable))
    uncertainty = 1 - margin
    features = np.array([results[number].features for number in usable])
    novelty = np.ones(len(usable)) if reference is None else 1 - reference.similarities(features)
    chosen: list[Suggestion] = []
    # Two images count as equal up to rounding errors.
    novelty = np.where(novelty < 1e-6, 0, novelty)
    while len(chosen) < count:
        values = uncertainty * novelty
        best = int(values.argmax())
        if values[best] <= 0:
            break
        chosen.append(Suggestion(usable[best], float(uncertainty[best]), float(novelty[best])))
        closer = 1 - features @ features[best]
        novelty = np.minimum(novelty, np.where(closer < 1e-6, 0, closer))
        novelty[best] = 0
    return chosen
