"""GhostNet: half of the channels are computed from the other half by depthwise convolutions.

Han et al., "GhostNet: More Features from Cheap Operations" (https://arxiv.org/abs/1911.11907), with the key
names of PaddleClas's ``model_zoo/ghostnet.py``.
"""

from functools import partial

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, from_stride_to_stride, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import pooled, zoo_conv_bn
from hubtune.models.mobilenet_v3 import distilled, divisible
from hubtune.models.senet import SqueezeExcitation

_HEAD_WIDTH = 1280

# Of each block: side of the kernel, expanded channels, output channels, gate, stride.
_BLOCKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)


class GhostModule(nn.Layer):
    """A 1×1 convolution to half of the output channels; a depthwise one on them gives the other half."""

    def __init__(self, inputs: int, outputs: int, activation: type[nn.Layer] | None) -> None:
        super().__init__()
        half = outputs // 2
        self.primary_conv = zoo_conv_bn(inputs, half, 1, activation=activation)
        self.cheap_operation = zoo_conv_bn(half, half, 3, groups=half, activation=activation)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h, w]``."""
        first = self.primary_conv(inputs)
        return paddle.concat([first, self.cheap_operation(first)], axis=1)


class GhostBottleneck(nn.Layer):
    """Two ghost modules, a depthwise convolution in between where it strides, and a gate; with a shortcut.

    ``channels`` are those of the input, in between, and of the output.
    """

    def __init__(self, channels: tuple[int, int, int], kernel: int, stride: int, gate: bool) -> None:
        super().__init__()
        inputs, middle, outputs = channels
        depthwise = partial(zoo_conv_bn, kernel=kernel, stride=stride, activation=None)
        clipped = partial(paddle.clip, min=0.0, max=1.0)
        self.ghost_module_1 = GhostModule(inputs, middle, nn.ReLU)
        self.depthwise_conv = depthwise(middle, middle, groups=middle) if stride == 2 else None
        self.se_block = SqueezeExcitation(middle, 4, clipped) if gate else None
        self.ghost_module_2 = GhostModule(middle, outputs, None)
        projects = stride == 2 or inputs != outputs
        self.shortcut_depthwise = depthwise(inputs, inputs, groups=inputs) if projects else None
        self.shortcut_conv = zoo_conv_bn(inputs, outputs, 1, activation=None) if projects else None

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs, short = self.ghost_module_1(inputs), inputs
        for layer in (self.depthwise_conv, self.se_block):
            if layer is not None:
                outputs = layer(outputs)
        for layer in (self.shortcut_depthwise, self.shortcut_conv):
            if layer is not None:
                short = layer(short)
        return self.ghost_module_2(outputs) + short


def ghostnet(scale: float, num_classes: int = 1000) -> nn.Sequential:
    """Return a GhostNet: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``scale`` is the factor of all channels but those of the head.
    """
    scaled = [
        (divisible(middle * scale, 4), divisible(outputs * scale, 4)) for _, middle, outputs, *_ in _BLOCKS
    ]
    inputs = divisible(16 * scale, 4)
    layers: list[tuple[str, nn.Layer]] = [("conv1", zoo_conv_bn(3, inputs, 3, 2))]
    for number, ((kernel, _, _, gate, stride), (middle, outputs)) in enumerate(
        zip(_BLOCKS, scaled, strict=True)
    ):
        block = GhostBottleneck((inputs, middle, outputs), kernel, stride, gate)
        layers.append((f"_ghostbottleneck_{number}", block))
        inputs = outputs
    network = nn.Sequential(
        *layers,
        ("conv_last", zoo_conv_bn(inputs, middle, 1)),
        ("pool2d_gap", nn.AdaptiveAvgPool2D(1)),
        ("fc_0", zoo_conv_bn(middle, _HEAD_WIDTH, 1)),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(0.2)),
        ("fc_1", nn.Linear(_HEAD_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def ghostnet_stages(network: nn.Sequential) -> list[Stage]:
    stem, *blocks = [*network][: len(_BLOCKS) + 1]
    *last, dropout, out = [*network][len(_BLOCKS) + 1 :]
    *earlier, latest = from_stride_to_stride(blocks, [block[-1] for block in _BLOCKS])
    return stages_of([stem], *earlier, [*latest, *last], head=[pooled, dropout, out])


def _backbone(
    scale: str, parameters: int, top1: float, top5: float, ssld: tuple[float, float] | None = None
) -> Backbone:
    class_name, name = f"GhostNet_x{scale}", f"ghostnet_x{scale}_imagenet"
    return Backbone(
        name=name,
        build=partial(ghostnet, float(scale.replace("_", "."))),
        stages=ghostnet_stages,
        taps=("stage4", "stage5.4"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        weights=paddleclas(class_name, top1, top5),
        variants=distilled(name, class_name, ssld, legendary=False),
        aliases=(class_name,),
    )


BACKBONES = (
    _backbone("0_5", 2_588_232, 66.88, 86.95),
    _backbone("1_0", 5_183_016, 74.02, 91.65),
    _backbone("1_3", 7_352_622, 75.79, 92.54, ssld=(79.38, 94.49)),
)
