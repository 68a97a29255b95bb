"""EfficientNet: inverted residuals, scaled in depth, width and image size together.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(https://arxiv.org/abs/1905.11946), with the key names of PaddleClas's ``model_zoo/efficientnet.py``. As
there, a convolution that strides is padded as TensorFlow pads it for images of the network's own size,
whatever the image's. B0_small has no gates, and the usual padding.
"""

from functools import partial
from math import ceil

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, from_stride_to_stride, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import pooled
from hubtune.models.mobilenet_v3 import divisible
from hubtune.models.transformer import DropPath

_STEM = 32
_WIDTH = 1280
_DROP_PATH = 0.2
# Of each stage: expansion, side of the kernel, output channels, number of blocks, stride.
_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def _padding(kernel: int, stride: int, side: int | None) -> int | list[int]:
    """Return the padding for maps of ``side`` pixels, as TensorFlow has it; ``None``: half the kernel.

    TensorFlow pads an even side at its end only. Two more pixels there have no effect on an even side, and
    keep an odd one from losing its last pixel.
    """
    if stride == 1 or side is None or side % 2:
        return kernel // 2
    before = kernel // 2 - 1
    return [before, before + 2, before, before + 2]


def _conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    side: int | None = None,
) -> nn.Sequential:
    """Return convolution and batch normalisation; ``side`` is that of the input map, for its padding."""
    padding = _padding(kernel, stride, side)
    conv = nn.Conv2D(inputs, outputs, kernel, stride, padding, groups=groups, bias_attr=False)
    norm = nn.BatchNorm2D(outputs, momentum=0.99, epsilon=1e-3)
    return nn.Sequential(("_conv", nn.Sequential(("_conv", conv))), ("_bn", norm))


class Gate(nn.Layer):
    """Weigh ``channels`` by what two convolutions with ``squeezed`` in between make of their averages."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self._conv1 = nn.Sequential(("_conv", nn.Conv2D(channels, squeezed, 1)))
        self._conv2 = nn.Sequential(("_conv", nn.Conv2D(squeezed, channels, 1)))

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        squeezed = F.swish(self._conv1(F.adaptive_avg_pool2d(inputs, 1)))
        return inputs * F.sigmoid(self._conv2(squeezed))


class InvertedResidual(nn.Layer):
    """Expand, filter each channel, weigh the channels and project, with stochastic depth.

    ``side`` is that of the input map in a network of its own size, ``None`` for the usual padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
        *,
        side: int | None,
        gate: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.stride = stride
        self._ecn = nn.Sequential(("_conv", _conv_bn(inputs, hidden))) if expansion > 1 else None
        depthwise = _conv_bn(hidden, hidden, kernel, stride, groups=hidden, side=side)
        self._dcn = nn.Sequential(("_conv", depthwise))
        self._se = Gate(hidden, inputs // 4) if gate else None
        self._pcn = nn.Sequential(("_conv", _conv_bn(hidden, outputs)))
        self._drop_path = DropPath(drop_path) if stride == 1 and inputs == outputs else None

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = inputs if self._ecn is None else F.swish(self._ecn(inputs))
        outputs = F.swish(self._dcn(outputs))
        if self._se is not None:
            outputs = self._se(outputs)
        outputs = self._pcn(outputs)
        return outputs if self._drop_path is None else inputs + self._drop_path(outputs)


def efficientnet(
    width: float, depth: float, size: int, dropout: float, *, small: bool = False, num_classes: int = 1000
) -> nn.Sequential:
    """Return an EfficientNet: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``width`` and ``depth`` are the factors of channels and of blocks, and ``size`` is the side of its images.
    """
    inputs, side = divisible(_STEM * width), None if small else size
    stem = nn.Sequential(("_conv", _conv_bn(3, inputs, 3, 2, side=side)))
    layers: list[tuple[str, nn.Layer]] = []
    total = sum(ceil(depth * stage[3]) for stage in _STAGES)
    side = side and ceil(side / 2)
    for expansion, kernel, channels, repeats, first_stride in _STAGES:
        outputs = divisible(channels * width)
        for position in range(ceil(depth * repeats)):
            block = InvertedResidual(
                inputs,
                outputs,
                kernel,
                1 if position else first_stride,
                expansion,
                side=side,
                gate=not small,
                drop_path=_DROP_PATH * len(layers) / total,
            )
            layers.append((f"{'block' if position else '_blocks'}.{len(layers)}.", block))
            inputs = outputs
        side = side and ceil(side / first_stride)
    features = divisible(_WIDTH * width)
    network = nn.Sequential(
        ("_ef", nn.Sequential(("_conv_stem", stem), ("swish", nn.Swish()), *layers)),
        ("_conv", _conv_bn(inputs, features)),
        ("_swish", nn.Swish()),
        ("_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_drop", nn.Dropout(dropout)),
        ("_fc", nn.Linear(features, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def efficientnet_stages(network: nn.Sequential) -> list[Stage]:
    (stem, activation, *blocks), *last, _pool, _flatten, dropout, out = network
    *earlier, latest = from_stride_to_stride(blocks, [block.stride for block in blocks])
    return stages_of([stem, activation], *earlier, [*latest, *last], head=[pooled, dropout, out])


def _backbone(
    size: str,
    scale: tuple[float, float, int, float],
    parameters: int,
    top1: float,
    top5: float,
    *,
    resize: int,
) -> Backbone:
    """Return the record of a network; ``scale`` is width, depth, image size and rate of the dropout."""
    name = f"EfficientNet{size}"
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(efficientnet, *scale, small=size.endswith("_small")),
        stages=efficientnet_stages,
        taps=("stage4", "stage5.-3"),
        width=divisible(_WIDTH * scale[0]),
        parameters=parameters,
        input_size=scale[2],
        resize=resize,
        weights=paddleclas(name, top1, top5),
        aliases=(name,),
    )


BACKBONES = (
    _backbone("B0_small", (1.0, 1.0, 224, 0.2), 4_652_008, 75.80, 92.58, resize=256),
    _backbone("B0", (1.0, 1.0, 224, 0.2), 5_288_548, 77.38, 93.31, resize=256),
    _backbone("B1", (1.0, 1.1, 240, 0.2), 7_794_184, 79.15, 94.41, resize=272),
    _backbone("B2", (1.1, 1.2, 260, 0.3), 9_109_994, 79.85, 94.74, resize=292),
    _backbone("B3", (1.2, 1.4, 300, 0.3), 12_233_232, 81.15, 95.41, resize=332),
    _backbone("B4", (1.4, 1.8, 380, 0.4), 19_341_616, 82.85, 96.23, resize=412),
    _backbone("B5", (1.6, 2.2, 456, 0.4), 30_389_784, 83.62, 96.72, resize=488),
    _backbone("B6", (1.8, 2.6, 528, 0.5), 43_040_704, 84.00, 96.88, resize=560),
    _backbone("B7", (2.0, 3.1, 600, 0.5), 66_347_960, 84.30, 96.89, resize=632),
)
