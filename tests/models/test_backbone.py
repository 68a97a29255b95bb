"""Stages own the network's tensors, and run in turn as the network does."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models.backbone import Stage, features, head_keys, paddleclas, stage_keys, stages_of


@pytest.fixture
def network():
    layers = {"conv": nn.Conv2D(3, 4, 1), "pool": nn.AdaptiveAvgPool2D(1), "fc": nn.Linear(4, 2)}
    network = nn.Sequential(*layers.items())
    network.offset = network.create_parameter([1])
    return network


def test_stages_own_their_layers_and_features_are_pooled_before_the_head(network):
    stages = stages_of([network.conv, paddle.abs], head=[network.pool, nn.Flatten(), network.fc])
    assert [stage.name for stage in stages] == ["stem", "head"]
    assert stage_keys(network, stages[0]) == {"conv.weight", "conv.bias"}
    assert head_keys(network, stages) == {"fc.weight", "fc.bias"}
    own = Stage("stem", (network.conv,), network.conv, own=(network.offset,))
    assert stage_keys(network, own) == {"conv.weight", "conv.bias", "offset"}
    assert [list(tensor.shape) for tensor in own.parameters()] == [[1], [4, 3, 1, 1], [4]]
    images = paddle.rand([2, 3, 5, 6])
    expected = network.conv(images).abs().mean([2, 3])
    np.testing.assert_allclose(features(stages, images).numpy(), expected.numpy(), rtol=1e-5)


def test_paddleclas_has_two_folders():
    folder = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/"
    assert paddleclas("X", 1.0, None).url == f"{folder}X_pretrained.pdparams"
    assert paddleclas("X", 1.0, None, legendary=True).url == f"{folder}legendary_models/X_pretrained.pdparams"
