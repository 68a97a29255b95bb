"""The probability from which on each label is given, chosen on images with known labels."""

from collections.abc import Sequence

import numpy as np

from hubtune.rng import rng_for
from hubtune.text import first_few

DEFAULT_THRESHOLD = 0.5
"""Of a label before its threshold is fitted."""

_LOWEST, _HIGHEST = 0.05, 0.95
_DRAWS, _FEWEST_DRAWS = 100, 20
_MOST_DRAWN_IMAGES = 20_000_000
_CLAIMED_POSITIVES = 2  # with 1 and with 5, mean F1 was within 0.002 in simulations


def fit_thresholds(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a threshold for each label, for a high F1 on other images.

    In each of 100 bootstrap samples of the images (fewer above 200,000 images), the threshold of the highest
    F1 is taken, halfway between two neighbouring scores; the mean of their logits is the label's. To the
    positives of a label, two claimed ones are added: an image is positive by its truth, and by its score
    with a weight of two to the number of positives. So a label with few of them follows what the classifier
    claims, which by itself asks for half of the highest F1 (Lipton et al., "Optimal thresholding of
    classifiers to maximize F1 measure", ECML 2014), and one with many follows the truth. The limits are 0.05
    and 0.95. Without a positive, the threshold is 0.5.

    Mean F1 on others in simulations with calibrated probabilities, for labels of 2 to 10 % of the images (and
    of 40 %), with 40, 200 and 1,000 images, of which at least one had the label:

    - threshold 0.5: 0.455 (0.785) with any number;
    - highest F1, within the limits: 0.484, 0.506, 0.532 (0.772, 0.788, 0.792);
    - likewise, but 0.5 if the gain is below its standard error: 0.480, 0.501, 0.527 (0.779, 0.787, 0.792);
    - this rule: 0.511, 0.528, 0.540 (0.782, 0.791, 0.793).

    With logits that were too high or low by 1, or twice or half as large, the means of all cases were 0.515,
    0.577, 0.573 and 0.589. Where 0.5 happened to be best, this rule lost up to 0.044 with 40 images.

    Args:
        probabilities: of each label, ``[N, labels]``, for images the classifier was not trained on. Those
            that are not finite, as of an unreadable image, do not count.
        truth: whether each image has each label, ``[N, labels]``.

    Returns:
        The probability of each label from which on it is given, float64 ``[labels]``.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> fit_thresholds(np.array([[0.9], [0.3], [0.25], [0.01]]), np.array([[1], [1], [0], [0]])).round(2)
        array([0.34])
    """
    values, own = np.asarray(probabilities, np.float64), np.asarray(truth, bool)
    if values.shape != own.shape or values.ndim != 2:
        raise ValueError(f"probabilities {values.shape} and truth {own.shape} are of other images or labels")
    count, random = len(values), rng_for(0, "thresholds")
    number = int(np.clip(_MOST_DRAWN_IMAGES // max(count, 1), _FEWEST_DRAWS, _DRAWS))
    # Images are drawn, not decisions: a label's threshold does not depend on the other labels.
    draws = [
        np.bincount(random.integers(count, size=count), minlength=count)
        for _ in range(number if count else 0)
    ]
    columns = zip(values.T, own.T, strict=True)
    return np.array([_fit(*column, draws) for column in columns], np.float64)


def _fit(probabilities: np.ndarray, truth: np.ndarray, draws: Sequence[np.ndarray]) -> float:
    """Return the threshold of one label; ``draws`` has how often each image is in a bootstrap sample."""
    known = np.flatnonzero(np.isfinite(probabilities))
    if not (positives := int(truth[known].sum())):
        return 0.5
    order = known[np.argsort(-probabilities[known], kind="stable")]
    scores = probabilities[order]
    share = positives / (positives + _CLAIMED_POSITIVES)
    positive = share * truth[order] + (1 - share) * scores
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each group of equal scores
    middles = (scores[ends] + np.append(scores[ends[1:]], 0)) / 2
    logits = _logit(np.clip(middles, _LOWEST, _HIGHEST))
    found = []
    for times in draws:
        drawn = times[order]
        right = np.cumsum(drawn * positive)[ends]
        if right[-1] > 0:
            f1 = 2 * right / (np.cumsum(drawn)[ends] + right[-1])
            found.append(logits[f1.argmax()])
    mean = float(np.mean(found)) if found else 0.0
    return float(np.clip(1 / (1 + np.exp(-mean)), _LOWEST, _HIGHEST))


def _logit(share: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(share / (1 - share)))


def describe_thresholds(labels: Sequence[str], thresholds: Sequence[float]) -> str:
    """Return the thresholds of the first labels in a line."""
    return first_few([f"{label} {value:.2f}" for label, value in zip(labels, thresholds, strict=True)], 8)
