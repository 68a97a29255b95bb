"""Building blocks that several families share."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    *,
    same: bool = True,
    groups: int = 1,
    activation: Callable[[], nn.Layer] | None = nn.ReLU,
    names: tuple[str, str] = ("conv", "bn"),
) -> nn.Sequential:
    """Return convolution, batch normalisation and activation (``None`` for none).

    Maps ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``, both rounded up. ``kernel`` is
    odd, a side or height and width; without ``same``, there is no padding, and the output is smaller by the
    kernel's side minus one. ``names`` are those of convolution and normalisation in the state-dict keys.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, width // 2) if same else 0
    conv = nn.Conv2D(inputs, outputs, kernel, stride, padding, groups=groups, bias_attr=False)
    steps = [(names[0], conv), (names[1], nn.BatchNorm2D(outputs))]
    if activation is not None:
        steps.append(("activation", activation()))
    return nn.Sequential(*steps)


zoo_conv_bn = partial(conv_bn, names=("_conv", "_batch_norm"))
"""The same with the names of the families in PaddleClas's folder ``model_zoo``."""


def pooled(features: paddle.Tensor) -> paddle.Tensor:
    """Average a feature map ``[N, D, h, w]`` over its area, to ``[N, D]``; ``[N, D]`` stays unchanged."""
    return F.adaptive_avg_pool2d(features, 1).flatten(1) if features.ndim == 4 else features


OLDER_NAMES = {"_conv": "conv", "_batch_norm": "bn"}
"""Names of the parts of :func:`conv_bn` in older files → the present names."""


def renamed(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, str], parts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Rename the tensors of an older file to the network's present names.

    ``layers`` is outermost layer in the file → the network's name; tensors of other layers stay unchanged, so
    that a file with the network's own names passes unchanged. ``parts`` is the same for layers inside those.
    """
    names = {}
    for key in tensors:
        layer, *inner = key.split(".")
        if layer in layers:
            names[key] = ".".join([layers[layer], *(parts.get(part, part) for part in inner)])
    return {names.get(key, key): tensor for key, tensor in tensors.items()}
