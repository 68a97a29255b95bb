"""The book's networks compute what its own words say, and their names lead to them."""

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from support.backbones import count_trained

import hubtune
from hubtune.errors import ModelError
from hubtune.models.catalog import BACKBONES, find, nearest_name


def images():
    return paddle.to_tensor(np.random.default_rng(0).random((2, 3, 32, 32), np.float32))


def trained(name):
    """A network in evaluation mode whose BatchNorm values are those of none that is new."""
    network = BACKBONES[name].build(num_classes=10)
    random = np.random.default_rng(1)
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm1D | nn.BatchNorm2D):
            for tensor in (layer.weight, layer._variance):
                tensor.set_value(random.uniform(0.5, 1.5, tensor.shape).astype("float32"))
            for tensor in (layer.bias, layer._mean):
                tensor.set_value(random.uniform(-0.5, 0.5, tensor.shape).astype("float32"))
    network.eval()
    return network


class Book:
    """The book's operations at inference, with the weights of a network in their order."""

    def __init__(self, network):
        kinds = nn.Conv2D | nn.BatchNorm1D | nn.BatchNorm2D | nn.Linear
        self.layers = iter([layer for layer in network.sublayers() if isinstance(layer, kinds)])

    def conv_bn(self, x, stride, padding):
        return self.bn(F.conv2d(x, next(self.layers).weight, stride=stride, padding=padding))

    def bn(self, x):
        layer = next(self.layers)
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, variance, scale, shift = (
            tensor.reshape(shape) for tensor in (layer._mean, layer._variance, layer.weight, layer.bias)
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def fc(self, x):
        layer = next(self.layers)
        return x @ layer.weight + (0 if layer.bias is None else layer.bias)

    def assert_gives(self, network, outputs):
        assert next(self.layers, None) is None
        np.testing.assert_allclose(network(images()).numpy(), outputs.numpy(), rtol=1e-4, atol=1e-4)


@paddle.no_grad()
def test_both_networks_are_the_books():
    network = trained("vgg_bn_drop")
    book = Book(network)
    x = images()
    for dropouts in ([0.3, 0], [0.4, 0], [0.4, 0.4, 0], [0.4, 0.4, 0], [0.4, 0.4, 0]):
        for rate in dropouts:
            x = F.relu(book.conv_bn(x, 1, 1)) * (1 - rate)
        x = F.max_pool2d(x, 2, 2)
    x = book.fc(x.flatten(1) * 0.5)
    x = F.relu(book.bn(x)) * 0.5
    book.assert_gives(network, book.fc(book.fc(x)))

    network = trained("resnet_cifar10_20")
    book = Book(network)
    x = F.relu(book.conv_bn(images(), 1, 1))
    channels = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        for block in range(3):
            step = stride if block == 0 else 1
            y = book.conv_bn(F.relu(book.conv_bn(x, step, 1)), 1, 1)
            short = x if channels == outputs else book.conv_bn(x, step, 0)
            channels = outputs
            x = F.relu(y + short)
    book.assert_gives(network, book.fc(F.avg_pool2d(x, 8, 1).flatten(1)))


@paddle.no_grad()
def test_dropout_leaves_out_in_training_only_and_does_not_scale_there():
    network = trained("vgg_bn_drop")
    paddle.seed(0)
    rates = []
    for layer in network.sublayers():
        if isinstance(layer, nn.Dropout):
            layer.train()
            kept = layer(paddle.ones([20_000])).numpy()
            assert set(np.unique(kept)) == {0.0, 1.0}
            rates.append(round(1 - float(kept.mean()), 1))
            layer.eval()
    assert rates == [0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.5, 0.5]
    np.testing.assert_array_equal(network(images()).numpy(), network(images()).numpy())


# In millions, from table 6 of He et al. (https://arxiv.org/abs/1512.03385), where shortcuts have none.
@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (110, 1.7), (1202, 19.4)])
def test_every_depth_by_the_rule_is_there_and_counts_the_layers_with_weights(depth, millions):
    record = find(f"resnet_cifar10_{depth}").backbone
    network = record.build(num_classes=10)
    weights = [each.weight for each in network.sublayers() if isinstance(each, nn.Conv2D | nn.Linear)]
    shortcuts = [weight for weight in weights if weight.shape[2:] == [1, 1]]
    assert (len(weights) - len(shortcuts), len(shortcuts)) == (depth, 2)
    in_shortcuts = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert round((count_trained(network) - in_shortcuts) / 1e6, 1 if depth >= 110 else 2) == millions
    assert record.parameters - count_trained(network) == 990 * (64 + 1)  # of the other classes


def test_names_lead_to_the_nearest_and_images_enter_as_in_the_book():
    for name, nearest in (
        ("ResNet_CIFAR10_109", "are resnet_cifar10_104 and resnet_cifar10_110"),
        ("resnet_cifar10_8", "is resnet_cifar10_20"),
        ("resnet_cifar10_1208", "is resnet_cifar10_1202"),
    ):
        message = (
            rf"no backbone '{name}'\. Its depth is 6 n \+ 2, from 20 to 1202: the nearest {nearest}\. Known"
        )
        with pytest.raises(ModelError, match=message):
            find(name)
    assert nearest_name("resnet_cifar100") == " Did you mean 'resnet_cifar10'?"
    assert find("resnet_cifar10") is find("resnet_cifar10_32")
    for name in ("vgg_bn_drop", "resnet_cifar10"):
        preprocessing = hubtune.Module(name, weights=None).preprocessing
        assert (preprocessing.size, preprocessing.resize) == (32, 32)
        assert (tuple(preprocessing.mean), tuple(preprocessing.std)) == ((0, 0, 0), (1, 1, 1))
