"""The error's power law is found again, and its predictions are right as often as they claim."""

import numpy as np
import pytest

from hubtune.evaluation.learning_curve import fit_learning_curve

SIZES = [5, 10, 20, 40, 80]


def _errors(sizes, *, floor=0.05, scale=0.4, exponent=0.6, noise=0.0, seed=0):
    sizes = np.asarray(sizes, float)
    exact = floor + scale * (sizes / 5) ** -exponent
    return exact + np.random.default_rng(seed).normal(0, 1, len(sizes)) * noise * np.sqrt(exact)


def test_exact_errors_give_their_law():
    found = fit_learning_curve(SIZES, _errors(SIZES))
    assert (found.floor, found.scale, found.exponent) == pytest.approx((0.05, 0.4, 0.6), abs=0.02)
    value, low, high = found.predict(160)
    assert low <= value <= high
    assert value == pytest.approx(_errors([160])[0], abs=0.003)


def test_predictions_have_the_true_error_in_most_cases_and_double_sizes_are_less_certain():
    inside, widths = 0, []
    for seed in range(100):
        sizes = SIZES * 5
        found = fit_learning_curve(sizes, _errors(sizes, noise=0.05, seed=seed))
        (_, low, high), (_, near_low, near_high) = found.predict(160), found.predict(40)
        inside += low <= _errors([160])[0] <= high
        widths.append((near_high - near_low, high - low))
    assert inside >= 88
    near, far = np.mean(widths, axis=0)
    assert near < far


def test_two_or_three_sizes_have_no_floor():
    for sizes in ([10, 20], [10, 20, 40]):
        found = fit_learning_curve(sizes, [0.4 * (size / 10) ** -0.5 for size in sizes])
        assert (found.floor, found.exponent) == (0, 0.5)
        assert found.predict(80)[0] == pytest.approx(0.4 * 8**-0.5)


def test_flat_rising_and_perfect_curves_predict_no_miracle():
    for sizes in (SIZES, [10, 20]):
        flat = fit_learning_curve(sizes, [0.3] * len(sizes))
        assert flat.predict(1000)[0] == pytest.approx(0.3, abs=0.01)
        rising = fit_learning_curve(sizes, np.linspace(0.2, 0.4, len(sizes)).tolist())
        assert 0.2 < rising.predict(1000)[0] < 0.4
        assert fit_learning_curve(sizes, [0.0] * len(sizes)).predict(100)[0] == 0
    single = fit_learning_curve([1, 1, 2, 2], [1.0, 1.0, 0.9, 0.8])
    value, low, high = single.predict(4)
    assert 0 <= low <= value <= high <= 1


def test_one_size_has_no_curve():
    assert fit_learning_curve([1, 1, 1], [0.5, 0.6, 0.4]) is None
    assert fit_learning_curve([], []) is None


def test_the_same_draws_give_the_same_curve():
    sizes = SIZES * 2
    first, second = (fit_learning_curve(sizes, _errors(sizes, noise=0.05)) for _ in range(2))
    assert first == second and first.predict(99) == second.predict(99)
