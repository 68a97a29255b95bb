"""The shares of all positions add up to the logit, for the mean and for covariances."""

import numpy as np
import paddle
import pytest

from hubtune.inference.attribution import HeadWeights, attribute, unpack_maps
from hubtune.models.second_order import SecondOrder
from hubtune.models.taps import Tap

RANDOM = np.random.default_rng(0)


def _maps(*shapes):
    return [RANDOM.standard_normal(shape).astype(np.float32) for shape in shapes]


def _head(width, taps, classes=3):
    size = width + sum(tap.width for tap in taps)
    return HeadWeights(RANDOM.standard_normal((size, classes)), RANDOM.standard_normal(classes), taps)


@pytest.mark.parametrize("sides", [(6, 8), (3, 4), (5, 7), (2, 9)])
def test_the_shares_of_mean_and_covariances_add_up_to_the_logit(sides):
    taps = [Tap("early", 5), Tap("late", 4)]
    last, early, late = _maps((6, 3, 4), (5, *sides), (4, 3, 4))
    head = _head(6, taps)
    second_order = SecondOrder(taps)([paddle.to_tensor(values[None]) for values in (early, late)]).numpy()[0]
    features = np.concatenate([last.mean(axis=(1, 2)), second_order])
    for label in range(3):
        total, mean = attribute([last, early, late], head, label)
        assert total.shape == mean.shape == (3, 4)
        assert total.sum() == pytest.approx(features @ head.weight[:, label], rel=1e-4, abs=1e-4)
        assert mean.sum() == pytest.approx(last.mean(axis=(1, 2)) @ head.weight[:6, label], rel=1e-5)


def test_a_share_belongs_to_the_position_that_it_comes_from():
    # One position differs from all others: the covariances are its own.
    early = np.zeros((3, 4, 6), np.float32)
    early[:, 1, 4] = [5.0, -3.0, 2.0]
    [last] = _maps((2, 4, 6))
    total, mean = attribute([last, early], _head(2, [Tap("early", 3)]), 0)
    covariances = np.abs(total - mean)
    assert covariances.argmax() == np.ravel_multi_index((1, 4), (4, 6))
    assert covariances[1, 4] > 0.9 * covariances.sum()


def test_a_constant_map_has_no_shares():
    [last] = _maps((2, 2, 2))
    total, mean = attribute([last, np.ones((3, 4, 4), np.float32)], _head(2, [Tap("early", 3)]), 1)
    np.testing.assert_allclose(total, mean, atol=1e-9)


def test_packed_maps_are_unpacked_by_the_sizes_in_them():
    head = _head(2, [Tap("early", 3)])
    last, early = _maps((2, 2, 3), (3, 4, 5))
    row = np.concatenate([[2, 3], last.ravel(), [4, 5], early.ravel()])
    for values, expected in zip(unpack_maps(row, head), (last, early), strict=True):
        np.testing.assert_array_equal(values, expected)
    assert unpack_maps(np.zeros(1), head) is None
