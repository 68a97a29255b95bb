"""Building blocks that families share, and initial weights of the documented spread."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models import initial_values
from hubtune.models.layers import conv_bn, pooled, renamed
from hubtune.models.transformer import DropPath


def test_layers_have_the_documented_sizes_and_only_known_ones_are_renamed():
    for kernel, stride, same, size in ((3, 2, True, 4), (5, 1, False, 3), ((1, 7), 1, True, 7)):
        block = conv_bn(3, 8, kernel, stride, same=same)
        assert block(paddle.zeros([1, 3, 7, 7])).shape == [1, 8, size, size]
        assert {key.partition(".")[0] for key in block.state_dict()} == {"conv", "bn"}
    maps = paddle.arange(24, dtype="float32").reshape([1, 2, 3, 4])
    np.testing.assert_allclose(pooled(maps).numpy(), [[5.5, 17.5]])
    file = {"conv1._conv.weight": 1, "other._conv.weight": 2}
    expected = {"stem.0.conv.weight": 1, "other._conv.weight": 2}
    assert renamed(file, {"conv1": "stem.0"}, {"_conv": "conv"}) == expected


def test_drop_path_leaves_out_whole_samples_and_only_in_training():
    paddle.seed(0)
    layer = DropPath(0.25)
    branch = paddle.ones([4000, 2, 3])
    kept = layer(branch).numpy().reshape(4000, 6)
    assert (kept == kept[:, :1]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert kept.mean() == pytest.approx(1, abs=0.05)
    layer.eval()
    np.testing.assert_array_equal(layer(branch).numpy(), branch.numpy())


def test_initial_weights_have_the_documented_spread():
    paddle.seed(0)
    depthwise = nn.Conv2D(64, 64, 3, groups=64)
    initial_values.kaiming_convolutions(nn.Sequential(depthwise))
    assert float(depthwise.weight.std()) == pytest.approx(np.sqrt(2 / 9), rel=0.15)
    network = nn.Sequential(nn.Linear(100, 50), nn.Conv2D(3, 4, 3))
    before = network[1].weight.numpy().copy()
    initial_values.truncated_normal_weights(network, (nn.Linear,))
    assert float(network[0].weight.std()) == pytest.approx(initial_values.STANDARD_DEVIATION, rel=0.1)
    assert not network[0].bias.any()
    np.testing.assert_array_equal(network[1].weight.numpy(), before)
