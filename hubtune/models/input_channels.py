"""Adapts networks for three image channels to one channel or four."""

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
    """Adapt the first convolution of a network, in place, to images of one channel or four; return it.

    With one channel, its output for a grey image equals that for the same image in three equal channels, up
    to rounding and including the borders. Its kernels are the sums over the channels. That alone would be
    wrong by a constant, since each colour is normalised by its own mean, and by another constant at the
    borders, where padding zeros mean another colour. The difference is computed from the buffer ``level``
    once per batch. With four channels, the fourth channel's kernels are zeros, and the output is that of the
    other three.

    Args:
        layers: the layers that the stem owns.
        channels: 1 or 4.
        grey_in_colours: factors and terms, ``[3]``, from a normalised grey value to normalised R, G and B.

    Raises:
        ModelError: the stem does not have exactly one convolution of three channels.
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
    candidates = [
        layer
        for owned in layers
        for layer in owned.sublayers(include_self=True)
        if isinstance(layer, nn.Conv2D)
        and (layer.weight.shape[1], layer._groups) == (3, 1)
        and (layer._data_format, layer._padding_mode) == ("NCHW", "zeros")
    ]
    if len(candidates) != 1:
        raise ModelError(
            f"The network's stem has {len(candidates)} convolutions of three channels, and only one alone "
            "can be adapted to another number of channels: take channels: 3, or another module"
        )
    return candidates[0]


def _add_level(conv: Any, inputs: tuple[paddle.Tensor, ...], outputs: paddle.Tensor) -> paddle.Tensor:
    everywhere = paddle.ones_like(inputs[0][:1])
    return outputs + F.conv2d(everywhere, conv.level, None, conv._stride, conv._padding, conv._dilation)
