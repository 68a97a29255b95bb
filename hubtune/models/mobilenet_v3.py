"""MobileNetV3: inverted residuals with squeeze-and-excitation and hard swish.

Howard et al., "Searching for MobileNetV3" (https://arxiv.org/abs/1905.02244), with the key names of
PaddleClas's ``legendary_models/mobilenet_v3.py`` and its departures: the gate's hard sigmoid has the slope
0.2, the first block has an expansion too, and the convolution behind the pooling keeps 1280 channels at
every width.
"""

import re
from collections.abc import Sequence
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import (
    Backbone,
    PublishedWeights,
    Stage,
    from_stride_to_stride,
    paddleclas,
    stages_of,
)
from hubtune.models.layers import conv_bn, pooled
from hubtune.models.static_names import StaticNames

_HEAD_WIDTH = 1280

# Of each block: side of the kernel, expanded channels, output channels, gate, activation, stride.
_Block = tuple[int, int, int, bool, type[nn.Layer], int]
_LARGE: tuple[_Block, ...] = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
)
_SMALL: tuple[_Block, ...] = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)


def divisible(channels: float, divisor: int = 8) -> int:
    """Round a number of channels to a multiple of ``divisor``, never below nine tenths of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


class HardGate(nn.Layer):
    """Squeeze-and-excitation with a hard sigmoid: channels weighted by what their averages say.

    Hu et al., "Squeeze-and-Excitation Networks" (https://arxiv.org/abs/1709.01507). A quarter as many
    channels are between the two convolutions.
    """

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self._slope = slope
        self.conv1 = nn.Conv2D(channels, channels // 4, 1)
        self.conv2 = nn.Conv2D(channels // 4, channels, 1)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        gate = self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(inputs, 1))))
        return inputs * F.hardsigmoid(gate, slope=self._slope)


class InvertedResidual(nn.Layer):
    """Expansion, depthwise convolution, gate and projection, added to the input where the shapes agree.

    ``channels`` are those of the input, in between, and of the output.
    """

    def __init__(
        self, channels: tuple[int, int, int], kernel: int, stride: int, gate: bool, activation: type[nn.Layer]
    ) -> None:
        super().__init__()
        inputs, middle, outputs = channels
        self._residual = stride == 1 and inputs == outputs
        self.expand_conv = conv_bn(inputs, middle, 1, activation=activation)
        self.bottleneck_conv = conv_bn(middle, middle, kernel, stride, groups=middle, activation=activation)
        self.mid_se = HardGate(middle, slope=0.2) if gate else None
        self.linear_conv = conv_bn(middle, outputs, 1, activation=None)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = self.bottleneck_conv(self.expand_conv(inputs))
        if self.mid_se is not None:
            outputs = self.mid_se(outputs)
        outputs = self.linear_conv(outputs)
        return inputs + outputs if self._residual else outputs


def mobilenet_v3(blocks: Sequence[_Block], scale: float, num_classes: int = 1000) -> nn.Sequential:
    """Return a MobileNetV3: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``scale`` is the factor of all channels but those of the head.
    """
    inputs = divisible(16 * scale)
    layers: list[nn.Layer] = []
    stem = conv_bn(3, inputs, 3, 2, activation=nn.Hardswish)
    for kernel, expanded, channels, gate, activation, stride in blocks:
        outputs = divisible(channels * scale)
        shape = (inputs, divisible(expanded * scale), outputs)
        layers.append(InvertedResidual(shape, kernel, stride, gate, activation))
        inputs = outputs
    width = divisible(blocks[-1][1] * scale)
    return nn.Sequential(
        ("conv", stem),
        ("blocks", nn.Sequential(*layers)),
        ("last_second_conv", conv_bn(inputs, width, 1, activation=nn.Hardswish)),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("last_conv", nn.Conv2D(width, _HEAD_WIDTH, 1, bias_attr=False)),
        ("hardswish", nn.Hardswish()),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(0.2, mode="downscale_in_infer")),
        ("fc", nn.Linear(_HEAD_WIDTH, num_classes)),
    )


def _stages(blocks: Sequence[_Block], network: nn.Sequential) -> list[Stage]:
    """Split a network: stem, the blocks between its strides, head."""
    stem, layers, *last, dropout, out = network
    *earlier, latest = from_stride_to_stride(layers, [block[-1] for block in blocks])
    return stages_of([stem], *earlier, [*latest, *last], head=[pooled, dropout, out])


def _static_layer(path: str) -> str:
    """Return the name that a layer has in Paddle 1's programs, such as ``conv2_se_1``."""
    if match := re.fullmatch(r"blocks\.(\d+)\.(.+)", path):
        return f"conv{int(match[1]) + 2}_{_STATIC_PARTS[match[2]]}"
    return {"conv": "conv1", "last_second_conv": "conv_last", "last_conv": "last_1x1_conv"}.get(path, path)


_STATIC_PARTS = {
    "expand_conv": "expand",
    "bottleneck_conv": "depthwise",
    "mid_se.conv1": "se_1",
    "mid_se.conv2": "se_2",
    "linear_conv": "linear",
}
_STATIC_NAMES = StaticNames(_static_layer)


def distilled(
    name: str, class_name: str, accuracy: tuple[float, float] | None, *, legendary: bool = True
) -> tuple[PublishedWeights, ...]:
    """Return the weights that PaddleClas distilled (SSLD, https://arxiv.org/abs/2103.05959), if any.

    ``accuracy`` is ImageNet top-1 and top-5 as published, percent; ``None`` where there are no such weights.
    ``legendary`` as in :func:`paddleclas`.
    """
    if accuracy is None:
        return ()
    file = f"{class_name}_ssld"
    return (paddleclas(file, *accuracy, names=(f"{name}_ssld", file), legendary=legendary),)


def _backbone(
    size: str, scale: str, parameters: int, top1: float, top5: float, ssld: tuple[float, float] | None = None
) -> Backbone:
    blocks = _LARGE if size == "large" else _SMALL
    class_name = f"MobileNetV3_{size}_x{scale}"
    name = f"mobilenet_v3_{size}_imagenet" if scale == "1_0" else f"mobilenet_v3_{size}_x{scale}_imagenet"
    return Backbone(
        name=name,
        build=partial(mobilenet_v3, blocks, float(scale.replace("_", "."))),
        stages=partial(_stages, blocks),
        taps=("stage4", "stage5.2") if size == "large" else ("stage3", "stage4.2"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        weights=paddleclas(class_name, top1, top5, legendary=True),
        variants=distilled(name, class_name, ssld),
        aliases=(class_name,),
        static_names=_STATIC_NAMES,
    )


BACKBONES = (
    _backbone("small", "0_35", 1_665_954, 53.03, 76.37, ssld=(55.55, 77.71)),
    _backbone("small", "0_5", 1_902_536, 59.21, 81.52),
    _backbone("small", "0_75", 2_375_106, 66.02, 86.33),
    _backbone("small", "1_0", 2_939_958, 68.24, 88.06, ssld=(71.29, 90.10)),
    _backbone("small", "1_25", 3_627_370, 70.67, 89.51),
    _backbone("large", "0_35", 2_104_328, 64.32, 85.46),
    _backbone("large", "0_5", 2_673_422, 69.24, 88.52),
    _backbone("large", "0_75", 3_912_248, 73.14, 91.08),
    _backbone("large", "1_0", 5_480_206, 75.32, 92.31, ssld=(78.96, 94.48)),
    _backbone("large", "1_25", 7_443_308, 76.41, 92.95),
)
