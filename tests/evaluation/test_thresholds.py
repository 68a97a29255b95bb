"""Thresholds raise F1 on other images, are never absurd, and do not depend on what should not matter."""

import numpy as np
import pytest
from support.label_answers import draw_label_scores

from hubtune.evaluation.thresholds import fit_thresholds


def _f1(scores, truth, thresholds):
    """The F1 of each label, or of a label with each of several thresholds."""
    given = scores >= thresholds
    return 2 * (given & truth).sum(axis=0) / (given.sum(axis=0) + truth.sum(axis=0))


def _best(scores, truth):
    """The thresholds with the highest F1 on the images themselves."""
    columns = zip(np.sort(scores, axis=0).T, scores.T, truth.T, strict=True)
    return np.array([every[_f1(own[:, None], true[:, None], every).argmax()] for every, own, true in columns])


def test_f1_on_other_images_is_higher_than_with_one_half_and_with_the_best_on_few_images():
    scores, truth = draw_label_scores(4000, 30, rarity=3.0)
    others = scores[200:], truth[200:]
    for count, least in ((40, 0.02), (200, 0.005)):
        few, own = scores[:count], truth[:count]
        fitted = _f1(*others, fit_thresholds(few, own)).mean()
        assert fitted > _f1(*others, 0.5).mean() + 0.05
        assert fitted > _f1(*others, _best(few, own)).mean() + least


def test_logits_that_are_too_low_or_too_high_move_the_thresholds():
    scores, truth = draw_label_scores(2000, 5)
    logits = np.log(scores / (1 - scores))
    low, exact, high = (
        fit_thresholds(1 / (1 + np.exp(-logits - shift)), truth) for shift in (-1.5, 0.0, 1.5)
    )
    assert (low < exact).all() and (exact < high).all()


def test_few_positives_give_no_absurd_threshold():
    scores, truth = np.linspace(0.001, 0.999, 50)[:, None], np.zeros((50, 1), bool)
    assert fit_thresholds(scores, truth).tolist() == [0.5]
    for only in (0, 49):  # the least and the most probable image is the only one with the label
        truth[:] = False
        truth[only] = True
        assert 0.1 < fit_thresholds(scores, truth)[0] < 0.9
    for value in (0.0, 1e-9, 1.0):
        for share in (False, True):
            found = fit_thresholds(np.full((9, 2), value), np.full((9, 2), share))
            assert found.min() >= 0.05 and found.max() <= 0.95


def test_other_labels_and_images_without_a_score_have_no_effect():
    scores, truth = draw_label_scores(60, 4, digits=2)
    found = fit_thresholds(scores, truth)
    assert found.dtype == np.float64 and found.tolist() == fit_thresholds(scores, truth).tolist()
    assert fit_thresholds(scores[:, 2:3], truth[:, 2:3]).tolist() == found[2:3].tolist()
    scores[7], truth[7] = np.nan, True
    for value in (False, True):
        truth[7] = value
        other = fit_thresholds(scores, truth)
        assert np.isfinite(other).all() and np.abs(other - found).max() < 0.1
    assert fit_thresholds(scores * np.nan, truth).tolist() == [0.5] * 4
    assert fit_thresholds(np.zeros((0, 3)), np.zeros((0, 3), bool)).tolist() == [0.5] * 3


def test_other_shapes_are_refused():
    for shape in ((3, 2), (2, 3), (2,)):
        with pytest.raises(ValueError):
            fit_thresholds(np.ones((2, 2)), np.ones(shape))
