"""Exchanges bring lists nearer to their quotas, and do nothing when they are met."""

import numpy as np

from hubtune.data.splits.label_exchange import LabelCounts, exchange_units

MATRIX = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)


def test_the_labels_of_units_are_counted():
    counts = LabelCounts.of([(0, 1, 4), (2,), (3,)], [0, 2, 3, 1, 0], MATRIX)
    assert counts.having.tolist() == [[3, 0, 0], [1, 0, 1]]
    assert counts.having.dtype == np.uint8
    assert counts.sizes.tolist() == [3, 1, 1]
    assert counts.totals.tolist() == [[3, 2], [2, 3]]
    assert counts.side(0, 1).tolist() == [0, 1, 1]
    assert counts.select(np.array([False, True, True])).totals.tolist() == [[0, 2], [1, 1]]
    assert LabelCounts.of([], [], MATRIX).totals.tolist() == [[0, 0], [0, 0]]


def test_units_are_exchanged_until_both_lists_have_their_shares():
    counts = LabelCounts.of([(n,) for n in range(8)], [0, 0, 1, 1] * 2, MATRIX)
    rows = np.array([0, 0, 1, 1] * 2)
    wanted = np.repeat(counts.totals[None] // 2, 2, axis=0)
    changed = exchange_units(counts, rows, wanted)
    for number in (0, 1):
        assert counts.sums(changed == number).tolist() == [[2, 2], [2, 2]]
    assert rows.tolist() == [0, 0, 1, 1] * 2
    assert exchange_units(counts, changed, wanted).tolist() == changed.tolist()


def test_shares_of_folds_that_are_no_integers_are_met_within_one_image():
    rng = np.random.default_rng(0)
    counts = LabelCounts.of([(n,) for n in range(200)], rng.integers(4, size=200).tolist(), MATRIX)
    rows = np.arange(200) // 67
    changed = exchange_units(counts, rows, np.repeat(counts.totals[None], 3, axis=0), 3)
    for number in range(3):
        assert (abs(counts.sums(changed == number) - counts.totals / 3) <= 1).all()
