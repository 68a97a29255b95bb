"""The order and balance of training images."""

import numpy as np
import pytest

from hubtune.train.batches import balanced_order, resolve_balance


@pytest.mark.parametrize(
    ("setting", "counts", "expected"),
    [
        ("auto", {0: 5, 1: 2}, "weights"),
        ("auto", {0: 4, 1: 2}, "none"),
        ("auto", {0: 4, 2: 4}, "none"),  # a class without images does not count
        ("none", {0: 9, 1: 1}, "none"),
    ],
)
def test_balance_auto_acts_if_a_class_has_more_than_twice_as_many(setting, counts, expected):
    assert resolve_balance(setting, np.repeat(list(counts), list(counts.values()))) == expected


def test_a_balanced_order_shows_each_class_equally_often_and_no_image_twice_too_early():
    labels = np.array([0] * 20 + [1] * 3 + [2] * 8)
    order = balanced_order(labels, np.random.default_rng(0))
    assert len(order) == 31
    counts = np.bincount(labels[order])
    assert counts.max() - counts.min() <= 1
    shown = np.bincount(order, minlength=31)
    for label in range(3):
        own = shown[labels == label]
        assert own.max() - own.min() <= 1
