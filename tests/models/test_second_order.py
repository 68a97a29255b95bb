"""Covariances of late maps: what they are, that every image has its own, and bounded gradients."""

import numpy as np
import paddle
import pytest

from hubtune.errors import ModelError
from hubtune.models.second_order import SecondOrder
from hubtune.models.taps import MOST_CHANNELS, Tap


def _features(values):
    channels = values.shape[1] if values.ndim == 4 else values.shape[2]
    return SecondOrder([Tap("stage3", channels)])([paddle.to_tensor(values)]).numpy()


def _expected(maps):
    """The signed roots of the covariances of ``[channels, positions]``, softened near 0."""

    def scaled(values):
        return values / np.sqrt((values**2).mean() + 0.01)

    centred = maps - maps.mean(axis=1, keepdims=True)
    centred /= np.sqrt((centred**2).mean())
    covariances = scaled((centred @ centred.T)[np.triu_indices(len(maps))])
    return scaled(covariances / np.sqrt(np.sqrt(covariances**2 + 0.01) + 0.1))


def test_they_are_the_signed_roots_of_the_covariances_of_each_image():
    values = np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32)
    rows = _features(values)
    for image, row in zip(values, rows, strict=True):
        assert row == pytest.approx(_expected(image.reshape(5, 12)), abs=1e-4)
    tokens = np.ascontiguousarray(values.reshape(2, 5, 12).transpose(0, 2, 1))
    assert _features(tokens) == pytest.approx(rows, abs=1e-5)
    assert _features(values * 1e4 + 3e4) == pytest.approx(rows, abs=1e-4)  # whatever the scale and the mean
    assert _features(values * 1e-6) == pytest.approx(rows, abs=1e-4)
    assert _features(values[1:]) == pytest.approx(rows[1:], abs=1e-6)
    assert np.abs(_features(0 * values + 3.7)).max() < 0.01  # constant but for rounding


def test_wide_maps_are_projected_alike_on_every_run_and_the_directions_are_stored():
    channels = MOST_CHANNELS + 40
    values = np.random.default_rng(0).standard_normal((1, channels, 6, 6)).astype(np.float32)
    layer = SecondOrder([Tap("stage3", channels)])
    [row] = layer([paddle.to_tensor(values)]).numpy()
    assert len(row) == layer.taps[0].width == 128 * 129 // 2
    assert np.array_equal(_features(values)[0], row)
    directions = layer.state_dict()["projection0"].numpy()
    assert directions @ directions.T == pytest.approx(np.eye(128), abs=1e-5)
    assert row == pytest.approx(_expected(directions @ values.reshape(channels, 36)), abs=1e-4)


def test_a_map_of_another_number_of_channels_is_refused():
    with pytest.raises(ModelError, match="The network's stage3 has 5 channels, not 4"):
        SecondOrder([Tap("stage3", 4)])([paddle.zeros([1, 5, 2, 2])])


def test_rounding_errors_stay_small():
    values = np.random.default_rng(0).standard_normal((2, 60, 9, 9)).astype(np.float32)
    noise = 1 + 1e-6 * np.random.default_rng(1).standard_normal(values.shape)
    assert np.abs(_features((values * noise).astype(np.float32)) - _features(values)).max() < 2e-5


def test_gradients_are_finite_where_a_map_is_constant_or_a_covariance_is_zero():
    for values in (
        paddle.zeros([1, 3, 2, 2]),
        paddle.to_tensor(np.eye(4, dtype=np.float32).reshape(1, 4, 2, 2)),
    ):
        values.stop_gradient = False
        rows = SecondOrder([Tap("stage3", values.shape[1])])([values])
        (rows * rows[:, :1]).sum().backward()
        assert np.isfinite(rows.numpy()).all()
        assert np.isfinite(values.grad.numpy()).all()
        assert np.abs(values.grad.numpy()).max() < 1e2
