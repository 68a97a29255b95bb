"""MobileNetV2: inverted residual blocks with linear bottlenecks, in six widths.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (https://arxiv.org/abs/1801.04381).
Form and key names are those of PaddleClas's ``model_zoo/mobilenet_v2.py``, whose first block has an expansion
convolution although it does not expand; ``paddle.vision``'s has none.
"""

from functools import partial

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.static_names import StaticNames, rewriting

_STEM = 32
_WIDTH = 1280
# Expansion, output channels, number of blocks and stride of each stage.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Layer):
    """Expand, filter each channel, and project to few channels without an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, shortcut: bool) -> None:
        super().__init__()
        hidden = inputs * expansion
        self._expand_conv = zoo_conv_bn(inputs, hidden, 1, activation=nn.ReLU6)
        self._bottleneck_conv = zoo_conv_bn(hidden, hidden, 3, stride, groups=hidden, activation=nn.ReLU6)
        self._linear_conv = zoo_conv_bn(hidden, outputs, 1, activation=None)
        self._shortcut = shortcut

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = self._linear_conv(self._bottleneck_conv(self._expand_conv(inputs)))
        return inputs + outputs if self._shortcut else outputs


def mobilenet_v2(scale: float, num_classes: int = 1000) -> nn.Sequential:
    """Return a MobileNetV2: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``scale`` is the factor of the number of channels; the last stage's grows with it but does not shrink.
    """
    inputs = int(_STEM * scale)
    width = int(_WIDTH * max(scale, 1.0))
    layers: list[tuple[str, nn.Layer]] = [("conv1", zoo_conv_bn(3, inputs, 3, 2, activation=nn.ReLU6))]
    for number, (expansion, channels, depth, stride) in enumerate(_STAGES, 2):
        outputs = int(channels * scale)
        blocks = [("_first_block", InvertedResidual(inputs, outputs, stride, expansion, shortcut=False))]
        blocks += [
            (f"conv{number}_{position}", InvertedResidual(outputs, outputs, 1, expansion, shortcut=True))
            for position in range(2, depth + 1)
        ]
        layers.append((f"conv{number}", nn.Sequential(*blocks)))
        inputs = outputs
    return nn.Sequential(
        *layers,
        ("conv9", zoo_conv_bn(inputs, width, 1, activation=nn.ReLU6)),
        ("pool", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("out", nn.Linear(width, num_classes)),
    )


def mobilenet_v2_stages(network: nn.Sequential) -> list[Stage]:
    """Split a network made by :func:`mobilenet_v2`: stem, four stages that each begin at a stride, head."""
    *layers, pool, flatten, out = network
    return stages_of(layers[:2], [layers[2]], [layers[3]], layers[4:6], layers[6:], head=[pool, flatten, out])


_STATIC_NAMES = StaticNames(
    rewriting(
        ("^conv1$", "conv1_1"),
        (r"^conv(\d)\._first_block", r"conv\1_1"),
        (r"^conv\d\.", ""),
        (r"\._expand_conv$", "_expand"),
        (r"\._bottleneck_conv$", "_dwise"),
        (r"\._linear_conv$", "_linear"),
        ("^out$", "fc10"),
    )
)


def _backbone(
    suffix: str,
    scale: float,
    parameters: int,
    top1: float,
    top5: float,
    variants: tuple[PublishedWeights, ...] = (),
) -> Backbone:
    return Backbone(
        name=f"mobilenet_v2{suffix}_imagenet",
        build=partial(mobilenet_v2, scale),
        stages=mobilenet_v2_stages,
        taps=("stage3", "stage4.0"),
        width=int(_WIDTH * max(scale, 1.0)),
        parameters=parameters,
        weights=paddleclas(f"MobileNetV2{suffix}", top1, top5),
        variants=variants,
        aliases=(f"MobileNetV2{suffix}",),
        static_names=_STATIC_NAMES,
    )


_SSLD = paddleclas("MobileNetV2_ssld", 76.74, 93.39, names=("mobilenet_v2_imagenet_ssld", "MobileNetV2_ssld"))

BACKBONES = (
    _backbone("", 1.0, parameters=3_505_960, top1=72.15, top5=90.65, variants=(_SSLD,)),
    _backbone("_x0_25", 0.25, parameters=1_517_392, top1=53.21, top5=76.52),
    _backbone("_x0_5", 0.5, parameters=1_965_736, top1=65.03, top5=85.72),
    _backbone("_x0_75", 0.75, parameters=2_628_592, top1=69.83, top5=89.01),
    _backbone("_x1_5", 1.5, parameters=6_852_712, top1=74.12, top5=91.67),
    _backbone("_x2_0", 2.0, parameters=11_262_312, top1=75.23, top5=92.58),
)
