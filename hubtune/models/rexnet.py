"""ReXNet: inverted residuals whose channels grow evenly from block to block.

Han et al., "Rethinking Channel Dimensions for Efficient Model Design" (https://arxiv.org/abs/2007.00992),
with the key names of PaddleClas's ``model_zoo/rexnet.py``. As there, the last layer is a 1×1 convolution.
"""

from functools import partial
from itertools import pairwise

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, from_stride_to_stride, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import pooled

_STEM = 32
_FIRST = 16  # output channels of the first block
_GROWTH = 180  # channels that all other blocks add together
_WIDTH = 1280
_SQUEEZE = 12
# Of each stage: number of blocks, stride, whether its blocks have a gate.
_STAGES = ((1, 1, False), (2, 2, False), (2, 2, True), (3, 2, True), (3, 1, True), (5, 2, True))
_STRIDES = tuple(stride if number == 0 else 1 for count, stride, _ in _STAGES for number in range(count))
_GATES = tuple(gate for count, _, gate in _STAGES for _ in range(count))


def _conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Layer]:
    conv = nn.Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias_attr=False)
    return [conv, nn.BatchNorm2D(outputs)]


class Gate(nn.Layer):
    """Weigh the channels by what two 1×1 convolutions make of their averages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // _SQUEEZE
        self.fc = nn.Sequential(
            nn.Conv2D(channels, squeezed, 1),
            nn.BatchNorm2D(squeezed),
            nn.ReLU(),
            nn.Conv2D(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        return inputs * self.fc(nn.functional.adaptive_avg_pool2d(inputs, 1))


class LinearBottleneck(nn.Layer):
    """Expand, filter each channel, weigh the channels and project.

    Without a stride, the input is added to the output's first channels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, gate: bool) -> None:
        super().__init__()
        self._inputs, self._outputs = inputs, outputs
        self._residual = stride == 1 and inputs <= outputs
        hidden = inputs * expansion
        expand = [*_conv_bn(inputs, hidden), nn.Swish()] if expansion > 1 else []
        self.out = nn.Sequential(
            *expand,
            *_conv_bn(hidden, hidden, 3, stride, groups=hidden),
            *([Gate(hidden)] if gate else []),
            nn.ReLU6(),
            *_conv_bn(hidden, outputs),
        )

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = self.out(inputs)
        if not self._residual:
            return outputs
        if self._inputs == self._outputs:
            return outputs + inputs
        first, added = outputs[:, : self._inputs], outputs[:, self._inputs :]
        return paddle.concat([first + inputs, added], axis=1)


def rexnet(width: float, num_classes: int = 1000) -> nn.Sequential:
    """Return a ReXNet: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``width`` is the factor of all channels.
    """
    count = len(_STRIDES)
    growing = (_FIRST + _GROWTH / count * number for number in range(count))
    channels = [round(width * value) for value in (_STEM, *growing)]
    blocks = [
        LinearBottleneck(inputs, outputs, stride, 6 if number else 1, gate)
        for number, ((inputs, outputs), stride, gate) in enumerate(
            zip(pairwise(channels), _STRIDES, _GATES, strict=True)
        )
    ]
    features = int(_WIDTH * width)
    stem = [*_conv_bn(3, channels[0], 3, 2), nn.Swish()]
    last = [*_conv_bn(channels[-1], features), nn.Swish()]
    network = nn.Sequential(
        ("features", nn.Sequential(*stem, *blocks, *last, nn.AdaptiveAvgPool2D(1))),
        ("output", nn.Sequential(nn.Dropout(0.2), nn.Conv2D(features, num_classes, 1))),
        ("flatten", nn.Flatten()),
    )
    kaiming_convolutions(network)
    return network


def rexnet_stages(network: nn.Sequential) -> list[Stage]:
    features, (dropout, out), flatten = network
    *layers, _pool = features
    stem, blocks, last = layers[:3], layers[3:-3], layers[-3:]
    *earlier, latest = from_stride_to_stride(blocks, _STRIDES)
    return stages_of(stem, *earlier, [*latest, *last], head=[pooled, dropout, as_map, out, flatten])


def as_map(features: paddle.Tensor) -> paddle.Tensor:
    """Turn pooled features ``[N, D]`` into a map of one place, ``[N, D, 1, 1]``."""
    return features.unsqueeze([2, 3])


def _backbone(width: str, parameters: int, top1: float, top5: float) -> Backbone:
    name = f"ReXNet_{width}"
    factor = float(width.replace("_", "."))
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(rexnet, factor),
        stages=rexnet_stages,
        taps=("stage4", "stage5.-4"),
        width=int(_WIDTH * factor),
        parameters=parameters,
        weights=paddleclas(name, top1, top5),
        aliases=(name,),
    )


BACKBONES = (
    _backbone("1_0", 4_796_873, 77.46, 93.70),
    _backbone("1_3", 7_557_091, 79.13, 94.64),
    _backbone("1_5", 9_728_593, 80.06, 95.12),
    _backbone("2_0", 16_366_620, 81.22, 95.36),
    _backbone("3_0", 34_708_792, 82.09, 96.12),
)
