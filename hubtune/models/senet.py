"""SENet: ResNet and ResNeXt whose blocks weigh their channels.

Hu et al., "Squeeze-and-Excitation Networks" (https://arxiv.org/abs/1709.01507), with the key names of
PaddleClas's ``model_zoo/se_resnet_vd.py``, ``se_resnext.py`` and ``se_resnext_vd.py``. The stem of the last,
which SENet154 has too, is twice as wide as the others'.
"""

from collections.abc import Callable
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone
from hubtune.models.layers import pooled, zoo_conv_bn
from hubtune.models.resnet import (
    BOTTLENECK_CHANNELS,
    DEPTHS,
    averaged_projection,
    block_and_channels,
    deep_stem,
    plain_stem,
    strided_projection,
    zoo_backbone,
    zoo_resnet,
)
from hubtune.models.resnet_names import lettered, numbered
from hubtune.models.resnext import grouped_block


class SqueezeExcitation(nn.Layer):
    """Weigh channels by what two linear layers make of their averages.

    The first layer has ``1 / reduction`` of the channels; ``gate`` makes the weights of the second one's
    outputs. The layers' names in the state dict begin with ``prefix``.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        gate: Callable[[paddle.Tensor], paddle.Tensor] = F.sigmoid,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self._gate = gate
        self._names = (f"{prefix}squeeze", f"{prefix}excitation")
        self.add_sublayer(self._names[0], nn.Linear(channels, channels // reduction))
        self.add_sublayer(self._names[1], nn.Linear(channels // reduction, channels))

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        squeeze, excitation = (getattr(self, name) for name in self._names)
        weights = self._gate(excitation(F.relu(squeeze(pooled(inputs)))))
        return inputs * weights.unsqueeze([2, 3])


def se_resnet_vd(layers: int, num_classes: int = 1000) -> nn.Sequential:
    kind, channels = block_and_channels(layers)
    block = partial(kind, conv=zoo_conv_bn, projection=averaged_projection, scale=SqueezeExcitation)
    return zoo_resnet(deep_stem(conv=zoo_conv_bn), block, (64, *channels), DEPTHS[layers], num_classes)


def se_resnext(layers: int, num_classes: int = 1000) -> nn.Sequential:
    """Return an SE_ResNeXt with 32 groups: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    block = grouped_block(32, strided_projection, SqueezeExcitation)
    stem, channels = plain_stem(conv=zoo_conv_bn), (64, *BOTTLENECK_CHANNELS)
    return zoo_resnet(stem, block, channels, DEPTHS[layers], num_classes)


def se_resnext_vd(layers: int, groups: int, num_classes: int = 1000) -> nn.Sequential:
    block = grouped_block(groups, averaged_projection, SqueezeExcitation)
    stem, channels = deep_stem(128, zoo_conv_bn), (128, *BOTTLENECK_CHANNELS)
    return zoo_resnet(stem, block, channels, DEPTHS[layers], num_classes)


def _se_resnet_backbone(
    layers: int, parameters: int, top1: float, top5: float, *, width: int = BOTTLENECK_CHANNELS[-1]
) -> Backbone:
    build, names = partial(se_resnet_vd, layers), lettered(DEPTHS[layers], head="fc6")
    name = f"SE_ResNet{layers}_vd"
    return zoo_backbone(name, build, parameters, top1, top5, width=width, static_names=names)


_NAMES = {
    50: numbered(DEPTHS[50]),
    101: numbered(DEPTHS[101]),
    # The three convolutions of the stem count as stages.
    152: numbered(DEPTHS[152], first=4),
}
BACKBONES = (
    _se_resnet_backbone(18, 11_802_048, 73.33, 91.38, width=512),
    _se_resnet_backbone(34, 21_982_324, 76.51, 93.20, width=512),
    _se_resnet_backbone(50, 28_107_256, 79.52, 94.75),
    zoo_backbone(
        "SE_ResNeXt50_32x4d", partial(se_resnext, 50), 27_559_896, 78.44, 93.96, static_names=_NAMES[50]
    ),
    zoo_backbone(
        "SE_ResNeXt101_32x4d", partial(se_resnext, 101), 48_955_416, 79.39, 94.43, static_names=_NAMES[101]
    ),
    zoo_backbone(
        "SE_ResNeXt50_vd_32x4d",
        partial(se_resnext_vd, 50, 32),
        27_687_768,
        80.24,
        94.89,
        static_names=_NAMES[50],
    ),
    zoo_backbone(
        "SENet154_vd",
        partial(se_resnext_vd, 152, 64),
        121_737_048,
        81.40,
        95.48,
        aliases=("SE154_vd",),
        static_names=_NAMES[152],
    ),
)
