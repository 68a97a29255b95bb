"""Networks for pictures of one channel or four, made of networks for three."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.errors import ModelError


def adapt_first_layer(
    layers: Iterable[nn.Layer], channels: int, grey_in_colours: tuple[np.ndarray, np.ndarray]
) -> nn.Conv2D:
    """Make the first convolution of a network, in place, one for pictures of one channel or four.

    With one, its output for a grey picture is what it was for the same picture in three equal channels, but
    for rounding, at the borders, too. Its kernels are the sums over the channels. That alone would be wrong
    by a constant, as colours are normalised by different means, and by another one at the borders, where
    zeros stand for another colour; what is missing does not depend on the picture, and is computed from the
    buffer ``level`` once a batch.

    With four, the fourth channel's kernels are zeros, and the output is that for the other three.

    Args:
        layers: those that the stem owns.
        channels: 1 or 4.
        grey_in_colours: what a normalised grey value is multiplied by, and what is added then, to have it as
            normalised R, G and B; ``[3]`` each.

    Returns:
        The convolution.

    Raises:
        ModelError: the stem has no convolution that takes three channels, or several.
    """
    conv = _first_layer(layers)
    colours = conv.weight.numpy().astype(np.float64)
    if channels == 1:
        factors, terms = (values[:, None, None] for values in grey_in_colours)
        kernels = (colours * factors).sum(axis=1, keepdims=True)
        level = (colours * terms).sum(axis=1, keepdims=True).astype(np.float32)
        conv.register_buffer("level", paddle.to_tensor(level))
        conv.register_forward_post_hook(_add_level)
    else:
        fourth = np.zeros_like(colours[:, : channels - 3])
        kernels = np.concatenate([colours, fourth], axis=1)
    was_frozen = conv.weight.stop_gradient
    conv.weight = conv.create_parameter(list(kernels.shape), attr=conv._param_attr)
    conv.weight.set_value(kernels.astype(np.float32))
    conv.weight.stop_gradient = was_frozen
    conv._in_channels = channels
    return conv


def _first_layer(layers: Iterable[nn.Layer]) -> nn.Conv2D:
    found = [
        layer
        for owned in layers
        for layer in owned.sublayers(include_self=True)
        if isinstance(layer, nn.Conv2D)
        and (layer.weight.shape[1], layer._groups) == (3, 1)
        and (layer._data_format, layer._padding_mode) == ("NCHW", "zeros")
    ]
    if len(found) != 1:
        raise ModelError(
            f"The network's stem has {len(found)} convolutions of three channels, and only one alone can be "
            "adapted to another number of channels: take channels: 3, or another module"
        )
    return found[0]


def _add_level(conv: Any, inputs: tuple[paddle.Tensor, ...], outputs: paddle.Tensor) -> paddle.Tensor:
    everywhere = paddle.ones_like(inputs[0][:1])
    return outputs + F.conv2d(everywhere, conv.level, None, conv._stride, conv._padding, conv._dilation)
