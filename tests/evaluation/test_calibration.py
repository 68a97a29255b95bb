"""Calibration errors beside those of a perfect classifier, and temperatures that correct confidences."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from hubtune.errors import NumericError
from hubtune.evaluation.calibration import Calibration, fit_temperature


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
    for seed in range(150):
        found = Calibration(*_draw(120, seed))
        errors.append(found.ece)
        expected.append(found.ece_expected)
        above += found.ece > found.ece_high
    assert np.mean(errors) == pytest.approx(np.mean(expected), abs=0.005)
    assert 0.06 < np.mean(expected) < 0.09  # 120 images of a perfect classifier show this much
    assert 1 <= above <= 16
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


def _draw_logits(count, classes, seed, *, factor=1.0, skill=3.0):
    """Return logits that are ``factor`` times those which the true classes are drawn from."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, classes)) * skill
    return logits * factor, (logits + random.gumbel(size=logits.shape)).argmax(axis=1)


def _loss(logits, truth, temperature):
    return log_loss(truth, softmax(logits / temperature, axis=1), labels=range(logits.shape[1]))


def test_too_much_confidence_is_corrected_by_its_factor():
    logits, truth = _draw_logits(2000, 6, 1, factor=3)
    found = fit_temperature(logits, truth, range(2000))
    assert found.applies and found.interval[0] < 3 < found.interval[1]
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.loss_before == pytest.approx(_loss(logits, truth, 1))
    assert found.loss_after == pytest.approx(_loss(logits, truth, found.temperature))
    assert fit_temperature(logits, truth, range(2000)) == found


@pytest.mark.parametrize(
    ("count", "classes", "skill"),
    [(30, 6, 3), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((60, 2, 2), (120, 6, 6)))],
)
def test_calibrated_logits_are_left_alone_and_other_images_do_not_suffer(count, classes, skill):
    applied, worse = 0, []
    for seed in range(100):
        found = fit_temperature(*_draw_logits(count, classes, seed, skill=skill), range(count))
        applied += found.applies
        if found.applies:
            other = _draw_logits(1000, classes, 1000 + seed, skill=skill)
            worse.append(_loss(*other, found.applied) - _loss(*other, 1))
    assert applied <= 7
    assert sum(worse) / 100 < 0.005


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_end_of_the_interval_nearer_to_1_is_applied_and_helps(factor):
    for seed in range(10):
        logits, truth = _draw_logits(100, 5, seed)
        found = fit_temperature(factor * logits, truth, range(100))
        if found.applies:
            assert found.applied in found.interval
            assert abs(np.log(found.applied)) < abs(np.log(found.temperature))
            other, classes = _draw_logits(1000, 5, 1000 + seed)
            assert _loss(factor * other, classes, found.applied) < _loss(factor * other, classes, 1)
        else:
            assert found.applied == 1


def test_copies_of_a_photo_are_drawn_together():
    logits, truth = _draw_logits(60, 4, 5)
    single = fit_temperature(logits, truth, range(60))
    copied, groups = np.repeat(logits, 5, axis=0), np.repeat(range(60), 5).tolist()
    found = fit_temperature(copied, np.repeat(truth, 5), groups)
    assert found.interval == pytest.approx(single.interval, rel=0.1)
    apart = fit_temperature(copied, np.repeat(truth, 5), range(300))
    assert apart.interval[1] - apart.interval[0] < 0.6 * (single.interval[1] - single.interval[0])


def test_ends_give_finite_temperatures():
    logits, _ = _draw_logits(50, 3, 2)
    best, worst = logits.argmax(axis=1), logits.argmin(axis=1)
    right, wrong = (fit_temperature(logits, truth, range(50)) for truth in (best, worst))
    assert 0.1 < right.temperature < 1
    assert wrong.applies and wrong.temperature > 20
    one_class = fit_temperature(logits[best == 0], np.zeros((best == 0).sum(), int), range((best == 0).sum()))
    assert np.isfinite(one_class.temperature)
    for count, classes in ((0, 3), (1, 1)):
        none = fit_temperature(np.zeros((count, classes)), np.zeros(count, int), range(count))
        assert (none.temperature, none.applies) == (1, False)
    single = fit_temperature(np.array([[2.0, 0.0]]), np.array([0]), ["a"])
    assert not single.applies


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(NumericError, match="1 of 2 images are not finite"):
        fit_temperature(np.array([[0, np.inf], [0, 1]]), np.array([0, 1]), range(2))
