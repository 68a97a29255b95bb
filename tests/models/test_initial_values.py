"""Initial weights have the documented spread."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models import initial_values


def test_depthwise_weights_are_drawn_after_he():
    paddle.seed(0)
    layer = nn.Conv2D(64, 64, 3, groups=64)
    initial_values.kaiming_convolutions(nn.Sequential(layer))
    assert float(layer.weight.std()) == pytest.approx(np.sqrt(2 / 9), rel=0.15)


def test_chosen_layers_get_a_truncated_normal_and_zero_biases():
    paddle.seed(0)
    network = nn.Sequential(nn.Linear(100, 50), nn.Conv2D(3, 4, 3))
    before = network[1].weight.numpy().copy()
    initial_values.truncated_normal_weights(network, (nn.Linear,))
    assert float(network[0].weight.std()) == pytest.approx(initial_values.STANDARD_DEVIATION, rel=0.1)
    assert not network[0].bias.any()
    np.testing.assert_array_equal(network[1].weight.numpy(), before)
