"""MobileNetV1: a plain chain of depthwise separable convolutions, in four widths.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"
(https://arxiv.org/abs/1704.04861), with the key names of PaddleClas's ``legendary_models/mobilenet_v1.py``.
"""

import re
from functools import partial
from itertools import pairwise

from paddle import nn

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, Tensors, paddleclas, stages_of
from hubtune.models.layers import OLDER_NAMES, conv_bn, renamed
from hubtune.models.static_names import StaticNames

# Channels of the stem and of each block; a block strides where they grow, but for the first.
_CHANNELS = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)


def separable_conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3×3 depthwise and a pointwise convolution, each with normalisation and ReLU."""
    return nn.Sequential(
        ("depthwise_conv", conv_bn(inputs, inputs, 3, stride, groups=inputs)),
        ("pointwise_conv", conv_bn(inputs, outputs, 1)),
    )


def mobilenet_v1(scale: float, num_classes: int = 1000) -> nn.Sequential:
    channels = [int(number * scale) for number in _CHANNELS]
    blocks = [
        separable_conv(inputs, outputs, 2 if outputs > inputs and number > 0 else 1)
        for number, (inputs, outputs) in enumerate(pairwise(channels))
    ]
    return nn.Sequential(
        ("conv", conv_bn(3, channels[0], 3, 2)),
        ("blocks", nn.Sequential(*blocks)),
        ("pool", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(channels[-1], num_classes)),
    )


def mobilenet_v1_stages(network: nn.Sequential) -> list[Stage]:
    """Split a network made by :func:`mobilenet_v1`: stem, four stages that each begin at a stride, head."""
    conv, blocks, *head = network
    return stages_of([conv, blocks[0]], blocks[1:3], blocks[3:5], blocks[5:11], blocks[11:], head=head)


_OLDER_BLOCKS = (
    *(f"conv{n}_{m}" for n in (2, 3, 4) for m in (1, 2)),
    *(f"conv5_{m}" for m in range(1, 7)),
    "conv6",
)


def from_older_names(tensors: Tensors) -> Tensors:
    """Give the tensors of a file of PaddleClas 2.0 or PaddleHub 2 the names :func:`mobilenet_v1` has."""
    layers = {"conv1": "conv", "out": "fc"}
    layers |= {name: f"blocks.{number}" for number, name in enumerate(_OLDER_BLOCKS)}
    parts = OLDER_NAMES | {"_depthwise_conv": "depthwise_conv", "_pointwise_conv": "pointwise_conv"}
    return renamed(tensors, layers, parts)


def _static_layer(path: str) -> str:
    """Return the name that a layer has in Paddle 1's programs, such as ``conv2_1_dw``."""
    if match := re.fullmatch(r"blocks\.(\d+)\.(depthwise|pointwise)_conv", path):
        return f"{_OLDER_BLOCKS[int(match[1])]}_{'dw' if match[2] == 'depthwise' else 'sep'}"
    return {"conv": "conv1", "fc": "fc7"}[path]


_STATIC_NAMES = StaticNames(_static_layer)


def _backbone(
    suffix: str,
    scale: float,
    parameters: int,
    top1: float,
    top5: float,
    variants: tuple[PublishedWeights, ...] = (),
) -> Backbone:
    return Backbone(
        name=f"mobilenet_v1{suffix}_imagenet",
        build=partial(mobilenet_v1, scale),
        stages=mobilenet_v1_stages,
        taps=("stage3", "stage4.-1"),
        width=int(_CHANNELS[-1] * scale),
        parameters=parameters,
        weights=paddleclas(f"MobileNetV1{suffix}", top1, top5, legendary=True),
        variants=variants,
        aliases=(f"MobileNetV1{suffix}",),
        translate=from_older_names,
        static_names=_STATIC_NAMES,
    )


_SSLD = paddleclas(
    "MobileNetV1_ssld", 77.89, 93.94, names=("mobilenet_v1_imagenet_ssld", "MobileNetV1_ssld"), legendary=True
)

BACKBONES = (
    _backbone("", 1.0, parameters=4_231_976, top1=70.99, top5=89.68, variants=(_SSLD,)),
    _backbone("_x0_25", 0.25, parameters=470_072, top1=51.43, top5=75.46),
    _backbone("_x0_5", 0.5, parameters=1_331_592, top1=63.52, top5=84.73),
    _backbone("_x0_75", 0.75, parameters=2_585_560, top1=68.81, top5=88.23),
)
