"""Covariances of earlier stages: what they are, their gradients, and that every image has its own."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models.backbone import Tap
from hubtune.models.second_order import MOST_CHANNELS, SecondOrder, second_order_widths


class _Network(nn.Layer):
    def __init__(self, channels):
        super().__init__()
        self.tapped = nn.Identity()
        self.channels = channels

    def forward(self, images):
        return self.tapped(images)


def _features(values):
    channels = values.shape[1] if values.ndim == 4 else values.shape[2]
    network = _Network(channels)
    second_order = SecondOrder(network, [Tap("tapped", channels)])
    network(paddle.to_tensor(values))
    return second_order().numpy()


def test_they_are_the_signed_roots_of_the_covariances_in_unit_length():
    values = np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32)
    rows = _features(values)
    for image, row in zip(values, rows, strict=True):
        covariance = np.cov(image.reshape(5, 12), bias=True)[np.triu_indices(5)]
        rooted = np.sign(covariance) * np.sqrt(np.abs(covariance))
        assert row == pytest.approx(rooted / np.linalg.norm(rooted), abs=1e-4)
    tokens = values.reshape(2, 5, 12).transpose(0, 2, 1)
    assert _features(np.ascontiguousarray(tokens)) == pytest.approx(rows, abs=1e-6)
    assert _features(values * 1e4) == pytest.approx(rows, abs=1e-4)  # whatever the scale


def test_wide_maps_are_projected_alike_everywhere():
    channels = MOST_CHANNELS + 40
    values = np.random.default_rng(0).standard_normal((1, channels, 6, 6)).astype(np.float32)
    [row] = _features(values)
    assert [len(row)] == second_order_widths([Tap("tapped", channels)])
    assert np.array_equal(_features(values)[0], row)


def test_gradients_are_finite_where_maps_are_constant():
    network = _Network(3)
    second_order = SecondOrder(network, [Tap("tapped", 3)])
    values = paddle.zeros([1, 3, 2, 2])
    values.stop_gradient = False
    network(values)
    rows = second_order()
    rows.sum().backward()
    assert np.isfinite(rows.numpy()).all() and np.isfinite(values.grad.numpy()).all()
