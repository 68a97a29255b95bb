"""ESNet: ShuffleNetV2 with gates and with features computed from others, made for mobile processors.

"Enhanced ShuffleNet" of Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices"
(https://arxiv.org/abs/2111.00902), with the key names of PaddleClas's ``legendary_models/esnet.py``.
"""

from functools import partial
from itertools import pairwise

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import conv_bn, pooled
from hubtune.models.mobilenet_v3 import HardGate, divisible

# Number of blocks in each stage, and their output channels.
_DEPTHS = (3, 7, 3)
_CHANNELS = (116, 232, 464)
_STEM = 24
_LAST = 1024
_HEAD_WIDTH = 1280

_pointwise = partial(conv_bn, kernel=1, activation=nn.Hardswish)
_depthwise = partial(conv_bn, kernel=3, activation=None)
_gate = partial(HardGate, slope=1 / 6)


class Block(nn.Layer):
    """Convolutions and a gate on one half of the channels, interleaved with the other half as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.pw_1_1 = _pointwise(half, half)
        self.dw_1 = _depthwise(half, half, groups=half)
        self.se = _gate(channels)
        self.pw_1_2 = _pointwise(channels, half)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        short, branch = paddle.chunk(inputs, 2, axis=1)
        branch = self.pw_1_1(branch)
        branch = self.pw_1_2(self.se(paddle.concat([branch, self.dw_1(branch)], axis=1)))
        # The channels of both in turn; unlike a reshape to groups this needs no fixed height and width.
        return paddle.stack([short, branch], axis=2).flatten(1, 2)


class StridedBlock(nn.Layer):
    """Two branches of convolutions that stride, one with a gate, joined by two more convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.dw_1 = _depthwise(inputs, inputs, stride=2, groups=inputs)
        self.pw_1 = _pointwise(inputs, half)
        self.pw_2_1 = _pointwise(inputs, half)
        self.dw_2 = _depthwise(half, half, stride=2, groups=half)
        self.se = _gate(half)
        self.pw_2_2 = _pointwise(half, half)
        self.concat_dw = _depthwise(outputs, outputs, groups=outputs, activation=nn.Hardswish)
        self.concat_pw = _pointwise(outputs, outputs)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / 2, w / 2]``."""
        first = self.pw_1(self.dw_1(inputs))
        second = self.pw_2_2(self.se(self.dw_2(self.pw_2_1(inputs))))
        return self.concat_pw(self.concat_dw(paddle.concat([first, second], axis=1)))


def esnet(scale: float, num_classes: int = 1000) -> nn.Sequential:
    """Return an ESNet: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``scale`` is the factor of the channels of the stages.
    """
    channels = [divisible(each * scale) for each in _CHANNELS]
    blocks: list[nn.Layer] = []
    for (inputs, outputs), depth in zip(pairwise([_STEM, *channels]), _DEPTHS, strict=True):
        blocks += [StridedBlock(inputs, outputs), *(Block(outputs) for _ in range(1, depth))]
    network = nn.Sequential(
        ("conv1", conv_bn(3, _STEM, 3, 2, activation=nn.Hardswish)),
        ("max_pool", nn.MaxPool2D(3, 2, padding=1)),
        ("blocks", nn.Sequential(*blocks)),
        ("conv2", _pointwise(channels[-1], _LAST)),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("last_conv", nn.Conv2D(_LAST, _HEAD_WIDTH, 1, bias_attr=False)),
        ("hardswish", nn.Hardswish()),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(0.2, mode="downscale_in_infer")),
        ("fc", nn.Linear(_HEAD_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def esnet_stages(network: nn.Sequential) -> list[Stage]:
    conv, pool, blocks, *last, dropout, out = network
    return stages_of(
        [conv, pool], blocks[:3], blocks[3:10], [*blocks[10:], *last], head=[pooled, dropout, out]
    )


def _backbone(scale: str, parameters: int, top1: float, top5: float) -> Backbone:
    return Backbone(
        name=f"esnet_x{scale}_imagenet",
        build=partial(esnet, float(scale.replace("_", "."))),
        stages=esnet_stages,
        taps=("stage2", "stage3.2"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        weights=paddleclas(f"ESNet_x{scale}", top1, top5, legendary=True),
        aliases=(f"ESNet_x{scale}",),
    )


BACKBONES = (
    _backbone("0_25", 2_825_658, 62.48, 83.46),
    _backbone("0_5", 3_239_023, 68.82, 88.04),
    _backbone("0_75", 3_853_249, 72.24, 90.45),
    _backbone("1_0", 4_620_318, 73.92, 91.40),
)
