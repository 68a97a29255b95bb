"""Logistic functions of scores, one for each label: scores become probabilities."""

import numpy as np

_STEPS = 50
# Change of a parameter at which it is found, and the most that one step changes it.
_TOLERANCE, _LONGEST_STEP = 1e-6, 8.0
# A label that its scores say nothing of has nearly the same probability for all, and never in turned order.
_LEAST_SLOPE = 0.01


def fit_logistic(
    scores: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a slope and a shift for each label: ``1 / (1 + exp(-(slope · score + shift)))`` is its probability.

    The targets are moved towards one another after Platt, "Probabilistic outputs for support vector
    machines", 1999: without that, scores that separate a label would give an infinite slope. Newton's method,
    with the step limited.

    Args:
        scores: ``[N, labels]``.
        targets: 0 or 1, ``[N, labels]``.
        weights: of the rows, ``[N]``, or for each label, ``[N, labels]``.

    Returns:
        The slopes, at least 0.01, and the shifts; float64 ``[labels]``.
    """
    weights = weights[:, None] if weights.ndim == 1 else weights
    total = weights.sum(axis=0)
    ones = (weights * targets).sum(axis=0)
    high, low = (ones + 1) / (ones + 2), 1 / (total - ones + 2)
    smoothed = np.where(targets > 0.5, high, low)
    mean = (weights * scores).sum(axis=0) / total
    spread = np.sqrt((weights * (scores - mean) ** 2).sum(axis=0) / total)
    spread[spread < 1e-9] = 1.0
    units = (scores - mean) / spread
    share = (weights * smoothed).sum(axis=0) / total
    slope, shift = np.zeros(scores.shape[1]), np.log(share / (1 - share))
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-(slope * units + shift)))
        rest = weights * (probability - smoothed)
        curve = weights * np.maximum(probability * (1 - probability), 1e-12)
        first, second = (rest * units).sum(axis=0), rest.sum(axis=0)
        aa, ab, bb = (curve * units**2).sum(axis=0), (curve * units).sum(axis=0), curve.sum(axis=0)
        aa = aa + 1e-9 * total
        determinant = np.maximum(aa * bb - ab**2, 1e-12 * total**2)
        steps = np.stack([(bb * first - ab * second) / determinant, (aa * second - ab * first) / determinant])
        steps = np.clip(steps, -_LONGEST_STEP, _LONGEST_STEP)
        slope, shift = slope - steps[0], shift - steps[1]
        if np.abs(steps).max(initial=0.0) < _TOLERANCE:
            break
    is_flat = slope < _LEAST_SLOPE * spread
    slope = np.where(is_flat, _LEAST_SLOPE * spread, slope)
    shift = np.where(is_flat, np.log(share / (1 - share)), shift)
    return slope / spread, shift - slope * mean / spread


def binary_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the binary cross entropy of each logit, for targets from 0 to 1; of the same shape."""
    return np.asarray(np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits))))
