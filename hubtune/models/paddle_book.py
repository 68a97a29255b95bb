"""The CIFAR-10 networks of the PaddlePaddle book: ``vgg_bn_drop`` and ``resnet_cifar10``.

https://github.com/PaddlePaddle/book, chapter 03.image_classification, ``vgg.py`` and ``resnet.py``. The first
is the 16-layer VGG (Simonyan and Zisserman, https://arxiv.org/abs/1409.1556) with batch normalisation and
dropout; the second is the residual network for CIFAR-10 of He et al. (https://arxiv.org/abs/1512.03385,
section 4.2), whose shortcuts are projections where the number of channels grows. As there, pictures are only
scaled to 0–1, and dropout scales at inference, not in training. The biases that the book has before batch
normalisations are left out, as those take them away again.
"""

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, stages_of
from hubtune.models.layers import conv_bn
from hubtune.models.resnet import basic_block

DEPTHS = (20, 32, 44, 56, 110)
"""Layers of the residual networks that are listed; :func:`of_depth` makes all others."""

_DEEPEST = 1202

_BOOKS_DEPTH = 32
_NAME = "resnet_cifar10"
_RESIDUAL_CHANNELS = (16, 16, 32, 64)
_HIDDEN = 512
_SIDE = 32
_MEAN, _STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def _dropout(rate: float) -> nn.Dropout:
    return nn.Dropout(rate, mode="downscale_in_infer")


def _vgg_block(inputs: int, outputs: int, dropouts: Sequence[float]) -> nn.Sequential:
    """Return convolutions, with dropouts in between, and a pooling: ``[N, outputs, h / 2, w / 2]``."""
    layers: list[nn.Layer] = [conv_bn(inputs, outputs, 3)]
    for rate in dropouts:
        layers += [_dropout(rate), conv_bn(outputs, outputs, 3)]
    return nn.Sequential(*layers, nn.MaxPool2D(2, 2))


def vgg_bn_drop(num_classes: int) -> nn.Sequential:
    """Return the book's VGG: pictures ``[N, 3, 32, 32]`` → class scores ``[N, num_classes]``."""
    return nn.Sequential(
        ("block1", _vgg_block(3, 64, [0.3])),
        ("block2", _vgg_block(64, 128, [0.4])),
        ("block3", _vgg_block(128, 256, [0.4, 0.4])),
        ("block4", _vgg_block(256, 512, [0.4, 0.4])),
        ("block5", _vgg_block(512, 512, [0.4, 0.4])),
        ("flatten", nn.Flatten()),
        ("drop1", _dropout(0.5)),
        ("fc1", nn.Linear(512, _HIDDEN, bias_attr=False)),
        ("bn", nn.BatchNorm1D(_HIDDEN)),
        ("relu", nn.ReLU()),
        ("drop2", _dropout(0.5)),
        ("fc2", nn.Linear(_HIDDEN, _HIDDEN)),
        ("fc3", nn.Linear(_HIDDEN, num_classes)),
    )


def _vgg_stages(network: nn.Sequential) -> list[Stage]:
    """Split a :func:`vgg_bn_drop`: the first block, the others, the hidden linear layers, head."""
    stem, *layers = network
    return stages_of([stem], *([block] for block in layers[:4]), layers[4:-1], head=layers[-1:])


def resnet_cifar10(depth: int, num_classes: int) -> nn.Sequential:
    """Return a residual network: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``depth`` is the number of layers with weights without shortcuts: 6 n + 2 for stages of n blocks.
    """
    blocks = (depth - 2) // 6
    stages = []
    for number, (inputs, outputs) in enumerate(pairwise(_RESIDUAL_CHANNELS), 1):
        first = basic_block(inputs, outputs, outputs // inputs, inputs != outputs)
        rest = (basic_block(outputs, outputs, 1, False) for _ in range(1, blocks))
        stages.append((f"stage{number}", nn.Sequential(first, *rest)))
    return nn.Sequential(
        ("stem", conv_bn(3, _RESIDUAL_CHANNELS[0], 3)),
        *stages,
        ("pool", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(_RESIDUAL_CHANNELS[-1], num_classes)),
    )


def _resnet_stages(network: nn.Sequential) -> list[Stage]:
    stem, *stages = [*network][:4]
    return stages_of([stem], *([stage] for stage in stages), head=[*network][4:])


def of_depth(name: str) -> Backbone | None:
    """The ``resnet_cifar10`` of any depth by the rule, 20 to 1202; ``None`` for other names."""
    depth = _asked(name)
    return _resnet(depth) if depth is not None and _follows_rule(depth) else None


def depth_advice(name: str) -> str:
    """Return what to say of a ``resnet_cifar10`` whose depth there is not; empty for other names."""
    depth = _asked(name)
    if depth is None or _follows_rule(depth):
        return ""
    below = min(_DEEPEST, depth - (depth - 2) % 6)
    nearest = [each for each in (below, below + 6) if _follows_rule(each)] or [DEPTHS[0]]
    verb = "are" if len(nearest) > 1 else "is"
    names = " and ".join(f"{_NAME}_{each}" for each in nearest)
    return f" Its depth is 6 n + 2, from {DEPTHS[0]} to {_DEEPEST}: the nearest {verb} {names}."


def _asked(name: str) -> int | None:
    match = re.fullmatch(rf"{_NAME}_(\d{{1,9}})", name.lower())
    return match and int(match[1])


def _follows_rule(depth: int) -> bool:
    return DEPTHS[0] <= depth <= _DEEPEST and depth % 6 == 2


def _resnet(depth: int) -> Backbone:
    return Backbone(
        name=f"{_NAME}_{depth}",
        build=partial(resnet_cifar10, depth),
        stages=_resnet_stages,
        taps=("stage2", "stage3.0"),
        width=_RESIDUAL_CHANNELS[-1],
        parameters=45_176 + 97_216 * ((depth - 2) // 6),
        aliases=(_NAME,) if depth == _BOOKS_DEPTH else (),
        input_size=_SIDE,
        resize=_SIDE,
        mean=_MEAN,
        std=_STD,
    )


BACKBONES = (
    Backbone(
        name="vgg_bn_drop",
        build=vgg_bn_drop,
        stages=_vgg_stages,
        width=_HIDDEN,
        parameters=15_757_736,
        input_size=_SIDE,
        resize=_SIDE,
        mean=_MEAN,
        std=_STD,
        size_multiple=None,
    ),
    *(_resnet(depth) for depth in DEPTHS),
)
