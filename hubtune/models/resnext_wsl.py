"""ResNeXt of 101 layers that was pretrained on hashtags of photos (weakly supervised learning, WSL).

Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining" (https://arxiv.org/abs/1805.00932),
with the key names of PaddleClas's ``model_zoo/resnext101_wsl.py``. The name gives the number of groups and
the number of channels of a group in the first stage. ``fix`` is the same network, adapted to larger images
than it was trained with: Touvron et al., "Fixing the train-test resolution discrepancy"
(https://arxiv.org/abs/1906.06423).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, paddleclas, stages_of
from hubtune.models.layers import conv_bn
from hubtune.models.resnet import BOTTLENECK_CHANNELS, DEPTHS

_GROUPS = 32

_conv_bn = partial(conv_bn, names=("_conv", "_bn"))


class Block(nn.Layer):
    """A grouped 3×3 convolution of ``width`` channels between two 1×1 convolutions, added to its input."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self._conv0 = _conv_bn(inputs, width, 1)
        self._conv1 = _conv_bn(width, width, 3, stride, groups=_GROUPS)
        self._conv2 = _conv_bn(width, outputs, 1, activation=None)
        self._short = None
        if inputs != outputs:
            self._short = nn.Sequential(("_conv", _conv_bn(inputs, outputs, 1, stride, activation=None)))

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = self._conv2(self._conv1(self._conv0(inputs)))
        return F.relu(outputs + (inputs if self._short is None else self._short(inputs)))


def resnext_wsl(width: int, num_classes: int = 1000) -> nn.Sequential:
    """Return a network: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``width`` is the number of channels of a group in the first stage; each stage doubles it.
    """
    return nn.Sequential(
        ("_conv_stem", _conv_bn(3, 64, 7, 2)),
        ("_pool", nn.MaxPool2D(3, 2, padding=1)),
        *_blocks(width),
        ("_avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_out", nn.Linear(BOTTLENECK_CHANNELS[-1], num_classes)),
    )


def _blocks(width: int) -> Iterator[tuple[str, Block]]:
    for stage, (inputs, outputs) in enumerate(pairwise((64, *BOTTLENECK_CHANNELS))):
        for number in range(DEPTHS[101][stage]):
            stride = 2 if stage and not number else 1
            block = Block(outputs if number else inputs, _GROUPS * width * 2**stage, outputs, stride)
            yield f"_conv{stage + 1}_{number}", block


def resnext_wsl_stages(network: nn.Sequential) -> list[Stage]:
    stem, pool, *blocks, average, flatten, out = network
    rest = iter(blocks)
    stages = [[next(rest) for _ in range(depth)] for depth in DEPTHS[101]]
    return stages_of([stem, pool], *stages, head=[average, flatten, out])


def _published(name: str, top1: float, top5: float) -> PublishedWeights:
    # Facebook's weights, converted.
    return replace(paddleclas(name, top1, top5), licence="CC-BY-NC-4.0")


def _backbone(width: int, parameters: int, top1: float, top5: float) -> Backbone:
    name = f"ResNeXt101_32x{width}d_wsl"
    return Backbone(
        name=name.lower(),
        build=partial(resnext_wsl, width),
        stages=resnext_wsl_stages,
        taps=("stage3", "stage4.-1"),
        width=BOTTLENECK_CHANNELS[-1],
        parameters=parameters,
        weights=_published(name, top1, top5),
        aliases=(name,),
    )


_WIDEST = _backbone(48, 828_411_176, 85.37, 97.69)
BACKBONES = (
    _backbone(8, 88_791_336, 82.55, 96.74),
    _backbone(16, 194_026_792, 84.24, 97.26),
    _backbone(32, 468_530_472, 84.97, 97.59),
    _WIDEST,
    replace(
        _WIDEST,
        name="fix_resnext101_32x48d_wsl_imagenet",
        aliases=("Fix_ResNeXt101_32x48d_wsl",),
        input_size=320,
        resize=320,
        weights=_published("Fix_ResNeXt101_32x48d_wsl", 86.26, 97.97),
    ),
)
