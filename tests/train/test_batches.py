"""The order and balance of training images."""

import numpy as np

from hubtune.train.batches import balanced_order


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
