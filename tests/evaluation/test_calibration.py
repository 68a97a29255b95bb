"""Bins of equal mass, and a calibration error beside that of a perfect classifier."""

import numpy as np
import pytest

from hubtune.evaluation.calibration import Calibration


def _draw(count, seed, *, low=0.5, overconfident=0.0):
    random = np.random.default_rng(seed)
    confidence = random.uniform(low, 1, count)
    return confidence, random.random(count) < confidence - overconfident


def test_bins_have_equal_numbers_of_images_at_least_20_and_at_most_10_bins():
    for count, sizes in (
        (7, [7]),
        (39, [39]),
        (40, [20, 20]),
        (120, [20] * 6),
        (199, [22] * 8 + [23]),
        (1000, [100] * 10),
        (1009, [100] * 9 + [109]),
    ):
        assert [entry.count for entry in Calibration(*_draw(count, 1)).bins] == sizes


def test_images_of_equal_confidence_share_a_bin():
    confidence = np.array([0.1] * 5 + [0.2] * 30 + [0.3] * 5 + [1.0] * 60)
    bins = Calibration(confidence, confidence > 0.25).bins
    assert [(entry.count, entry.low, entry.high) for entry in bins] == [(35, 0.1, 0.2), (65, 0.3, 1.0)]
    assert bins[1].correct == 65 and bins[1].accuracy == 1
    assert bins[1].confidence == pytest.approx((5 * 0.3 + 60) / 65)
    assert bins[0].interval[0] == 0


def test_the_error_is_the_mean_distance_of_accuracy_and_confidence():
    confidence, correct = _draw(400, 2)
    found = Calibration(confidence, correct)
    order = np.argsort(confidence)
    parts = np.split(order, 10)
    expected = sum(40 * abs(correct[part].mean() - confidence[part].mean()) for part in parts) / 400
    assert found.ece == pytest.approx(expected, abs=1e-12)


def test_a_perfect_classifier_shows_what_is_expected_of_it():
    errors, expected, above = [], [], 0
    for seed in range(200):
        found = Calibration(*_draw(120, seed))
        errors.append(found.ece)
        expected.append(found.ece_expected)
        above += found.ece > found.ece_high
    assert np.mean(errors) == pytest.approx(np.mean(expected), abs=0.005)
    assert 0.06 < np.mean(expected) < 0.09  # 120 images of a perfect classifier show this much
    assert 2 <= above <= 20
    worse = Calibration(*_draw(400, 1, low=0.7, overconfident=0.2))
    assert worse.ece > worse.ece_high > worse.ece_expected


def test_the_expected_error_of_many_images_takes_bounded_work():
    confidence, correct = _draw(1_000_000, 3)
    found = Calibration(confidence, correct)
    # The mean of the half-normal distribution of each bin's distance.
    variances = [(part * (1 - part)).sum() for part in np.split(np.sort(confidence), 10)]
    expected = np.mean(np.sqrt(2 / np.pi * np.array(variances))) / 100_000
    assert found.ece_expected == pytest.approx(expected, rel=0.05)


def test_confidences_that_are_not_finite_are_left_out():
    found = Calibration(np.array([np.nan, 0.5, 0.5]), np.array([True, True, False]))
    assert [entry.count for entry in found.bins] == [2]
    assert found.ece == 0 and found.ece_expected > 0
    certain = Calibration(np.ones(30), np.ones(30, bool))
    assert (certain.ece, certain.ece_expected, certain.ece_high) == (0, 0, 0)
