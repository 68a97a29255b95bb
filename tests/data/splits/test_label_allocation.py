"""Stratification by labels: near to the quotas, no unit divided, and no label forgotten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.data.splits.label_allocation import (
    LabelQuotas,
    allocate_by_labels,
    allocate_by_size,
    fold_by_labels,
)
from hubtune.data.splits.label_exchange import LabelCounts

SHARES = (0.5, 0.35, 0.2, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01, 0.9)


def skewed(images=2000, seed=0):
    """Return whether images have ten labels, the last of which most have."""
    return np.random.default_rng(seed).random((images, len(SHARES))) < SHARES


def in_groups(images, seed=0):
    """Return the rows of units: half of the images alone, the others in groups of up to nine."""
    rng, units, start = np.random.default_rng(seed), [], 0
    while start < images:
        size = 1 if start < images / 2 else int(rng.integers(2, 10))
        units.append(tuple(range(start, min(images, start + size))))
        start += size
    return [units[number] for number in rng.permutation(len(units))]


def quotas_of(counts, share, *, exact=None):
    own = np.rint(counts.totals * share).astype(int) if exact is None else np.minimum(counts.totals, exact)
    sides = np.stack([own, counts.totals - own])
    totals = np.array([share * counts.sizes.sum(), 0.0])
    none = np.zeros(len(counts.having), np.int64)
    return LabelQuotas(sides, totals, [exact is not None, False], 1, none)


def deviation(has, chosen):
    return abs(has[chosen].mean(axis=0) - has.mean(axis=0)).mean()


def rows_of(units, lists, number):
    return [row for unit, own in zip(units, lists.tolist(), strict=True) if own == number for row in unit]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_list_has_the_shares_of_all_labels_far_better_than_at_random(grouped):
    has = skewed()
    units = in_groups(len(has)) if grouped else [(row,) for row in range(len(has))]
    counts = LabelCounts.of(units, range(len(has)), has)
    chosen = rows_of(units, allocate_by_labels(counts, quotas_of(counts, 0.2)), 0)
    assert abs(len(chosen) - 400) <= 2
    assert (abs(has[chosen].sum(axis=0) - 0.2 * has.sum(axis=0)) <= 2.5).all()
    at_random = [
        deviation(has, np.random.default_rng(seed).permutation(len(has))[:400]) for seed in range(20)
    ]
    assert deviation(has, chosen) < np.mean(at_random) / 8


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_have_equal_shares_of_all_labels(grouped):
    has = skewed()
    units = in_groups(len(has)) if grouped else [(row,) for row in range(len(has))]
    folds = fold_by_labels(LabelCounts.of(units, range(len(has)), has), 5)
    for number in range(5):
        rows = rows_of(units, folds, number)
        assert abs(len(rows) - 400) <= 2
        assert (abs(has[rows].sum(axis=0) - has.sum(axis=0) / 5) <= 2.5).all()


def test_a_number_of_each_label_is_met_and_no_image_is_taken_without_need():
    has = skewed()
    counts = LabelCounts.of([(row,) for row in range(len(has))], range(len(has)), has)
    quotas = quotas_of(counts, 0, exact=9)
    chosen = np.flatnonzero(allocate_by_labels(counts, quotas) == 0)
    assert (has[chosen].sum(axis=0) >= 9).all()
    assert (~has[chosen]).sum(axis=0).min() >= 9
    assert len(chosen) <= 90
    for row in chosen:
        rest = [other for other in chosen if other != row]
        assert (has[rest].sum(axis=0) < 9).any() or ((~has[rest]).sum(axis=0) < 9).any()


def test_a_unit_that_is_much_too_large_stays_in_training():
    has = skewed(1000)
    units = [tuple(range(700)), *((row,) for row in range(700, 1000))]
    counts = LabelCounts.of(units, range(1000), has)
    lists = allocate_by_labels(counts, quotas_of(counts, 0.2))
    assert lists[0] == 1
    assert len(rows_of(units, lists, 0)) == pytest.approx(200, abs=5)


@settings(max_examples=60, deadline=None)
@given(
    sets=st.lists(st.integers(0, 7), min_size=1, max_size=40),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=15),
    share=st.sampled_from([0.1, 0.3, 0.5]),
)
def test_training_keeps_every_label_that_any_image_has(sets, sizes, share):
    has = np.array([[own >> label & 1 for label in range(3)] for own in sets], bool)
    units, start = [], 0
    for size in sizes:
        units.append(tuple(range(start, min(len(sets), start + size))))
        start += size
    units = [unit for unit in [*units, *((row,) for row in range(start, len(sets)))] if unit]
    counts = LabelCounts.of(units, range(len(sets)), has)
    lists = allocate_by_labels(counts, quotas_of(counts, share))
    trained = rows_of(units, lists, 1)
    assert (has[trained].any(axis=0) == has.any(axis=0)).all()
    assert sorted(trained + rows_of(units, lists, 0)) == list(range(len(sets)))


def test_sizes_alone_are_filled_in_order():
    assert allocate_by_size([5, 1, 2, 1, 1], [3, 1]).tolist() == [2, 0, 0, 1, 2]
    assert allocate_by_size([5, 5], [4]).tolist() == [0, 1]
    assert allocate_by_size([9, 9], [4]).tolist() == [1, 1]
