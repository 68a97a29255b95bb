"""Both figures equal scikit-learn's, and the interval of the area under the ROC curve has the true one."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hubtune.evaluation.separation import auroc, auroc_interval, average_precision


def test_the_area_equals_scikit_learns_with_ties_too():
    random = np.random.default_rng(0)
    for positives, negatives, digits in ((1, 1, 3), (30, 7, 1), (200, 500, 0), (1000, 1000, 9)):
        high = random.normal(0.7, 1, positives).round(digits)
        low = random.normal(0, 1, negatives).round(digits)
        expected = roc_auc_score([1] * positives + [0] * negatives, [*high, *low])
        assert auroc(high, low) == pytest.approx(expected, abs=1e-12)
        expected = average_precision_score([1] * positives + [0] * negatives, [*high, *low])
        assert average_precision(high, low) == pytest.approx(expected, abs=1e-12)


def test_ends_missing_sides_and_numbers_that_are_none():
    assert (auroc([2, 3], [0, 1]), auroc([0], [1]), auroc([1, 1], [1])) == (1, 0, 0.5)
    assert auroc([math.inf, 1], [0, -math.inf]) == 1
    assert auroc([], [1]) is auroc([1], []) is auroc([math.nan], [1]) is None
    assert auroc([3, math.nan], [math.nan, 1]) == 1
    assert average_precision([], [1]) is average_precision([math.nan], [1]) is None
    assert average_precision([0], []) == average_precision([3, math.nan], [math.nan, 1]) == 1
    assert (average_precision([0], [1]), average_precision([1, 1], [1, 1])) == (0.5, 0.5)


def test_the_interval_has_the_true_area_in_95_of_100_cases():
    random = np.random.default_rng(1)
    for shift, positives, negatives in ((0.5, 30, 30), (1.5, 60, 30), (2.5, 40, 100)):
        true = 0.5 * (1 + math.erf(shift / 2))
        inside = 0
        for _ in range(500):
            area = auroc(random.normal(shift, 1, positives), random.normal(0, 1, negatives))
            low, high = auroc_interval(area, positives, negatives)
            inside += low <= true <= high
        assert 0.925 <= inside / 500 <= 0.985, shift


def test_a_perfect_area_of_few_images_is_not_certain():
    low, high = auroc_interval(1.0, 10, 10)
    assert 0.7 < low < 0.9 and high == 1
    assert auroc_interval(0.0, 10, 10) == (pytest.approx(1 - high), pytest.approx(1 - low))
    low, high = auroc_interval(0.5, 1, 1)
    assert low < 0.1 and high > 0.9
