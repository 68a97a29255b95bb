"""Two classifiers differ where the images show it, and a sentence says how many would."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from support.answers import answers_of

from hubtune.errors import DataError
from hubtune.evaluation.comparison import compare, compare_pairs, format_p, mcnemar


def _answers(correct, unreadable=()):
    scores = np.where(np.asarray(correct, bool)[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
    return answers_of(scores, [0] * len(correct), unreadable)


def _pair(both, first, second, neither):
    ones = [1] * both + [1] * first + [0] * second + [0] * neither
    others = [1] * both + [0] * first + [1] * second + [0] * neither
    return _answers(ones), _answers(others)


def test_images_are_counted_by_who_is_right_and_unreadable_ones_left_out():
    first = _answers([1, 1, 0, 0, 1, 1], unreadable=[4])
    second = _answers([1, 0, 1, 0, 1, 1], unreadable=[5])
    found = compare(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 1, 1, 1)
    assert (found.count, found.unreadable, found.difference) == (4, 2, 0)


def test_the_p_value_is_that_of_the_exact_test():
    for first, second in ((0, 0), (1, 0), (5, 1), (3, 12), (40, 41), (700, 600), (12, 0)):
        total = first + second
        expected = binomtest(first, total).pvalue if total else 1
        assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_the_p_value_equals_that_of_statsmodels():
    tables = pytest.importorskip(
        "statsmodels.stats.contingency_tables", reason="statsmodels is not installed"
    )
    for first, second in ((0, 3), (5, 1), (3, 12), (40, 41)):
        expected = tables.mcnemar([[50, first], [second, 9]], exact=True).pvalue
        assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_holms_correction_equals_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    random = np.random.default_rng(3)
    runs = [_answers(random.random(150) < share) for share in (0.9, 0.85, 0.7, 0.6)]
    pairs = compare_pairs(runs)
    expected = multitest.multipletests([found.p_value for _, _, found in pairs], method="holm")[1]
    assert [found.p_adjusted for _, _, found in pairs] == pytest.approx(expected, abs=1e-12)


def test_several_classifiers_are_compared_in_pairs_and_the_correction_never_helps():
    random = np.random.default_rng(3)
    runs = [_answers(random.random(150) < share) for share in (0.9, 0.85, 0.7, 0.6)]
    pairs = compare_pairs(runs)
    assert [(one, two) for one, two, _ in pairs] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    by_p = sorted((found.p_value, found.p_adjusted) for _, _, found in pairs)
    assert by_p[0][1] == pytest.approx(6 * by_p[0][0])
    assert all(adjusted >= p_value for p_value, adjusted in by_p)
    assert [adjusted for _, adjusted in by_p] == sorted(adjusted for _, adjusted in by_p)
    assert compare_pairs(runs[:2])[0][2] == compare(*runs[:2])


def test_other_lists_are_refused():
    with pytest.raises(DataError, match="same list"):
        compare(_answers([1, 0]), _answers([1, 0, 1]))
    with pytest.raises(DataError, match="same list"):
        compare(_answers([1, 0]), answers_of([[0.5, 0.5]] * 2, [0, 1]))


def test_the_sentence_says_what_the_images_show():
    found = compare(*_pair(60, 30, 5, 25))
    assert found.differs and found.describe() == "the first is better on these 120 pictures (p < 0.001)"
    found = compare(*_pair(60, 5, 30, 25))
    assert "run b is better" in found.describe("run a", "run b")
    found = compare(*_pair(100, 6, 4, 10))
    assert not found.differs
    assert found.describe() == (
        "no difference that these 120 pictures could show: "
        "to show one of 1.7 points takes about 2,400 pictures"
    )
    # The approximate number would be 4, and that of a single pair 820.
    assert compare(*_pair(0, 5, 0, 0)).describe().endswith("5 pictures could show: more pictures may")
    many = replace(compare(*_pair(900, 45, 20, 35)), p_adjusted=0.1)
    assert many.describe().endswith("1,000 pictures could show: more pictures may")
    same = compare(*_pair(100, 0, 0, 20))
    assert same.needed is None and same.describe().endswith("pictures could show: both have 100 right")
    assert same.interval[0] < 0 < same.interval[1]
    nothing = compare(_answers([1], unreadable=[0]), _answers([1]))
    assert nothing.describe() == "no picture that both can read"
    assert (nothing.interval, nothing.as_dict()["difference"]) == ((-1, 1), None)
    assert math.isnan(nothing.difference) and nothing.needed is None
    assert [format_p(value) for value in (0.0004, 0.0321)] == ["p < 0.001", "p = 0.032"]


def test_the_needed_number_shows_the_difference_in_four_of_five_cases():
    found = compare(*_pair(70, 20, 10, 20))
    random, shares = np.random.default_rng(1), np.array([20, 10, 90]) / 120
    shown = 0
    for first, second, _ in random.multinomial(found.needed, shares, 400):
        shown += mcnemar(first, second) < 0.05
    assert 0.72 <= shown / 400 <= 0.86


def test_equal_classifiers_seldom_differ():
    random, found = np.random.default_rng(2), 0
    for _ in range(500):
        hard = random.random(120) * 0.5  # images that both find difficult
        first, second = (_answers(random.random(120) > hard) for _ in range(2))
        found += compare(first, second).differs
    assert found <= 25


@pytest.mark.parametrize("count", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_the_interval_has_the_true_difference_in_95_of_100_cases(count):
    random = np.random.default_rng(count)
    for shares in ((0.1, 0.05), (0.1, 0.1), (0.2, 0.1), (0.05, 0.05)):
        draws = random.multinomial(count, (*shares, 1 - sum(shares)), 400)
        intervals = {}
        inside = 0
        for first, second, rest in draws.tolist():
            key = (first, second)
            if key not in intervals:
                intervals[key] = compare(*_pair(rest, first, second, 0)).interval
            inside += intervals[key][0] <= shares[0] - shares[1] <= intervals[key][1]
        assert inside / 400 >= 0.92, shares
