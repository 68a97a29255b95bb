"""Building blocks that families share."""

import numpy as np
import paddle
import pytest

from hubtune.models.layers import conv_bn, pooled, renamed


@pytest.mark.parametrize(
    ("kernel", "stride", "same", "size"), [(3, 2, True, 4), (5, 1, False, 3), ((1, 7), 1, True, 7)]
)
def test_a_convolution_has_the_documented_size(kernel, stride, same, size):
    block = conv_bn(3, 8, kernel, stride, same=same)
    assert block(paddle.zeros([1, 3, 7, 7])).shape == [1, 8, size, size]
    assert {key.partition(".")[0] for key in block.state_dict()} == {"conv", "bn"}


def test_pooling_averages_maps_only():
    maps = paddle.arange(24, dtype="float32").reshape([1, 2, 3, 4])
    np.testing.assert_allclose(pooled(maps).numpy(), [[5.5, 17.5]])
    assert pooled(paddle.ones([2, 3])).shape == [2, 3]


def test_only_known_layers_are_renamed():
    file = {"conv1._conv.weight": 1, "other._conv.weight": 2}
    assert renamed(file, {"conv1": "stem.0"}, {"_conv": "conv"}) == {
        "stem.0.conv.weight": 1,
        "other._conv.weight": 2,
    }
