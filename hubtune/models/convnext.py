"""ConvNeXt: a convolutional network with the proportions of a transformer.

Liu et al., "A ConvNet for the 2020s" (https://arxiv.org/abs/2201.03545), with the key names of PaddleClas's
``model_zoo/convnext.py``.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.initial_values import truncated_normal_weights
from hubtune.models.layers import pooled
from hubtune.models.transformer import DropPath

_EPSILON = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each place: ``[N, channels, h, w]`` → the same shape."""

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        last = inputs.transpose([0, 2, 3, 1])
        normed = F.layer_norm(last, last.shape[-1], self.weight, self.bias, _EPSILON)
        return normed.transpose([0, 3, 1, 2])


class Block(nn.Layer):
    """A depthwise 7×7 convolution and two linear layers on each place, added to the input."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv2D(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, _EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = self.create_parameter([channels], default_initializer=nn.initializer.Constant(1e-6))
        self.drop_path = DropPath(drop_path)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        outputs = self.norm(self.dwconv(inputs).transpose([0, 2, 3, 1]))
        outputs = self.gamma * self.pwconv2(F.gelu(self.pwconv1(outputs)))
        return inputs + self.drop_path(outputs.transpose([0, 3, 1, 2]))


class ConvNeXt(nn.Layer):
    """Four stages of ``depths`` blocks, a linear head on the normalised pooled features.

    The rate of the stochastic depth grows evenly from zero in the first block to ``drop_path`` in the last.
    """

    def __init__(
        self, channels: Sequence[int], depths: Sequence[int], drop_path: float, num_classes: int = 1000
    ) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2D(3, channels[0], 4, 4), ChannelNorm(channels[0], _EPSILON))
        later = [
            nn.Sequential(ChannelNorm(inputs, _EPSILON), nn.Conv2D(inputs, outputs, 2, 2))
            for inputs, outputs in pairwise(channels)
        ]
        self.downsample_layers = nn.LayerList([first, *later])
        rates = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        self.stages = nn.LayerList(
            nn.Sequential(*(Block(width, next(rates)) for _ in range(depth)))
            for width, depth in zip(channels, depths, strict=True)
        )
        self.norm = nn.LayerNorm(channels[-1], _EPSILON)
        self.head = nn.Linear(channels[-1], num_classes)
        truncated_normal_weights(self, (nn.Conv2D, nn.Linear))

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        outputs = images
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            outputs = stage(downsample(outputs))
        return self.head(self.norm(pooled(outputs)))


def convnext_stages(network: ConvNeXt) -> list[Stage]:
    stem, *downsamples = network.downsample_layers
    first, *middle, last = network.stages
    *between, before_last = downsamples
    return stages_of(
        [stem],
        [first],
        *([downsample, stage] for downsample, stage in zip(between, middle, strict=True)),
        [before_last, last, pooled, network.norm],
        head=[network.head],
    )


def _backbone(
    size: str,
    channels: Sequence[int],
    depths: Sequence[int],
    parameters: int,
    top1: float,
    top5: float | None = None,
) -> Backbone:
    return Backbone(
        name=f"convnext_{size}_imagenet",
        build=partial(ConvNeXt, channels, depths, 0.1),
        stages=convnext_stages,
        taps=("stage3", "stage4.1"),
        width=channels[-1],
        parameters=parameters,
        weights=paddleclas(f"ConvNeXt_{size}", top1, top5),
        aliases=(f"ConvNeXt_{size}",),
        interpolation="bicubic",
    )


# The accuracies but the first one are PaddleX 3's.
BACKBONES = (
    _backbone("tiny", (96, 192, 384, 768), (3, 3, 9, 3), 28_589_128, 82.03, 95.90),
    _backbone("small", (96, 192, 384, 768), (3, 3, 27, 3), 50_223_688, 83.13),
    _backbone("base_224", (128, 256, 512, 1024), (3, 3, 27, 3), 88_591_464, 83.84),
    _backbone("large_224", (192, 384, 768, 1536), (3, 3, 27, 3), 197_767_336, 84.26),
)
