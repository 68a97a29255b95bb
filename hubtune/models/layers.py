"""The building blocks that several families share."""

import paddle
from paddle import nn
from paddle.nn import functional as F


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    relu: bool = True,
    names: tuple[str, str] = ("conv", "bn"),
) -> nn.Sequential:
    """Return convolution, batch normalisation and, unless ``relu`` is false, ReLU.

    Maps ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``, both rounded up.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel: side of the kernel; odd.
        stride: of the convolution.
        groups: of the convolution.
        relu: whether a ReLU follows.
        names: the convolution's and the normalisation's names in the state-dict keys.
    """
    conv, bn = names
    steps = [
        (conv, nn.Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias_attr=False)),
        (bn, nn.BatchNorm2D(outputs)),
    ]
    if relu:
        steps.append(("relu", nn.ReLU()))
    return nn.Sequential(*steps)


def pooled(features: paddle.Tensor) -> paddle.Tensor:
    """Average a feature map ``[N, D, h, w]`` over its area, to ``[N, D]``; ``[N, D]`` stays as it is."""
    return F.adaptive_avg_pool2d(features, 1).flatten(1) if features.ndim == 4 else features
