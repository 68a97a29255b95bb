"""Logistic functions of scores have the least loss, and are finite where a label is separated or constant."""

import numpy as np
import pytest
from scipy.optimize import minimize

from hubtune.inference.logistic import binary_cross_entropy, fit_logistic


def _loss(slope, shift, scores, targets, weights):
    ones, total = float(weights @ targets), float(weights.sum())
    smoothed = np.where(targets > 0.5, (ones + 1) / (ones + 2), 1 / (total - ones + 2))
    return float(weights @ binary_cross_entropy(slope * scores + shift, smoothed))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("noise", [0.02, 0.3, 3.0])
def test_slope_and_shift_minimise_the_loss(share, noise):
    random = np.random.default_rng(0)
    targets = (random.random(400) < share).astype(float)
    scores = 0.3 * targets + noise * random.standard_normal(400)
    weights = random.integers(1, 4, 400).astype(float)
    slopes, shifts = fit_logistic(scores[:, None], targets[:, None], weights)
    assert slopes.shape == shifts.shape == (1,)
    best = minimize(lambda x: _loss(x[0], x[1], scores, targets, weights), [1.0, 0.0], method="Nelder-Mead")
    if best.x[0] > 0.01:
        assert _loss(slopes[0], shifts[0], scores, targets, weights) <= best.fun + 1e-4
    else:  # never in turned order
        assert slopes[0] == pytest.approx(0.01)


def test_separated_and_constant_labels_have_finite_values():
    targets = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1], [1, 0, 0]], float)
    scores = np.array([[0.9, 0.1, 2.0], [0.9, 0.1, -2.0], [0.9, 0.1, 3.0], [0.9, 0.1, -3.0]])
    slopes, shifts = fit_logistic(scores, targets, np.ones(4))
    assert np.isfinite([*slopes, *shifts]).all()
    probabilities = 1 / (1 + np.exp(-(slopes * scores + shifts)))
    assert (probabilities[:, 0] > 0.7).all() and (probabilities[:, 1] < 0.3).all()
    assert (probabilities[:, 2] > 0.5).tolist() == [True, False, True, False]


def test_labels_do_not_depend_on_one_another():
    random = np.random.default_rng(1)
    targets = (random.random((50, 3)) < 0.4).astype(float)
    scores = targets + random.standard_normal((50, 3))
    slopes, shifts = fit_logistic(scores, targets, np.ones(50))
    for label in range(3):
        part = slice(label, label + 1)
        slope, shift = fit_logistic(scores[:, part], targets[:, part], np.ones(50))
        assert (slope[0], shift[0]) == pytest.approx((slopes[label], shifts[label]), rel=1e-6)


def test_cross_entropy_of_large_logits_is_finite():
    losses = binary_cross_entropy(np.array([1000.0, -1000.0, 0.0]), np.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(losses, [0.0, 1000.0, np.log(2)])
