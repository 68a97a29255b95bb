"""EfficientNetV2: inverted residuals, whose first stages have one convolution for two.

Tan and Le, "EfficientNetV2: Smaller Models and Faster Training" (https://arxiv.org/abs/2104.00298), with the
key names of PaddleClas's ``model_zoo/efficientnet_v2.py``. As there, a convolution that strides is padded at
the bottom and the right only, as TensorFlow pads images of the network's own size.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, from_stride_to_stride, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import pooled
from hubtune.models.transformer import DropPath

_STEM = 24
_WIDTH = 1280
_DROP_PATH = 0.2
# Of each stage: whether its blocks are fused, expansion, output channels, number of blocks, stride.
_SMALL = (
    (True, 1, 24, 2, 1),
    (True, 4, 48, 4, 2),
    (True, 4, 64, 4, 2),
    (False, 4, 128, 6, 2),
    (False, 6, 160, 9, 1),
    (False, 6, 256, 15, 2),
)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution ``[N, inputs, h, w]`` → ``[N, outputs, h / stride, w / stride]``, rounded up.

    Where it strides, two more pixels at the end have no effect on an even side, and keep an odd one from
    losing its last pixel.
    """
    padding = kernel // 2 if stride == 1 else [0, 2, 0, 2]
    conv = nn.Conv2D(inputs, outputs, kernel, stride, padding, groups=groups, bias_attr=False)
    return nn.Sequential(("_conv", conv))


def _norm(channels: int) -> nn.BatchNorm2D:
    return nn.BatchNorm2D(channels, epsilon=1e-3)


class Gate(nn.Layer):
    """Weigh ``channels`` by what two convolutions with ``squeezed`` in between make of their averages."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self._se_reduce = nn.Sequential(("_conv", nn.Conv2D(channels, squeezed, 1)))
        self._se_expand = nn.Sequential(("_conv", nn.Conv2D(squeezed, channels, 1)))

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        squeezed = F.silu(self._se_reduce(F.adaptive_avg_pool2d(inputs, 1)))
        return F.sigmoid(self._se_expand(squeezed)) * inputs


class FusedBlock(nn.Layer):
    """A 3×3 convolution that expands and a 1×1 one that projects; without expansion, one 3×3 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.stride = stride
        self._expand_conv = _conv(inputs, hidden, 3, stride) if expansion > 1 else None
        self._norm0 = _norm(hidden) if expansion > 1 else None
        self._project_conv = _conv(hidden, outputs) if expansion > 1 else _conv(inputs, outputs, 3, stride)
        self._norm1 = _norm(outputs)
        self._drop_path = DropPath(drop_path) if stride == 1 and inputs == outputs else None

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        if self._expand_conv is None or self._norm0 is None:
            outputs = F.silu(self._norm1(self._project_conv(inputs)))
        else:
            outputs = F.silu(self._norm0(self._expand_conv(inputs)))
            outputs = self._norm1(self._project_conv(outputs))
        return outputs if self._drop_path is None else inputs + self._drop_path(outputs)


class Block(nn.Layer):
    """Expand, filter each channel, weigh the channels and project."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.stride = stride
        self._expand_conv, self._norm0 = _conv(inputs, hidden), _norm(hidden)
        self._depthwise_conv = _conv(hidden, hidden, 3, stride, hidden)
        self._norm1 = _norm(hidden)
        self._se = Gate(hidden, inputs // 4)
        self._project_conv, self._norm2 = _conv(hidden, outputs), _norm(outputs)
        self._drop_path = DropPath(drop_path) if stride == 1 and inputs == outputs else None

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = F.silu(self._norm0(self._expand_conv(inputs)))
        outputs = self._se(F.silu(self._norm1(self._depthwise_conv(outputs))))
        outputs = self._norm2(self._project_conv(outputs))
        return outputs if self._drop_path is None else inputs + self._drop_path(outputs)


def efficientnet_v2(num_classes: int = 1000) -> nn.Sequential:
    """Return the small EfficientNetV2: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    stem = nn.Sequential(("_conv_stem", _conv(3, _STEM, 3, 2)), ("_norm", _norm(_STEM)), ("_act", nn.Silu()))
    inputs, total = _STEM, sum(stage[3] for stage in _SMALL)
    blocks: list[nn.Layer] = []
    for fused, expansion, outputs, repeats, first_stride in _SMALL:
        for position in range(repeats):
            stride, drop_path = 1 if position else first_stride, _DROP_PATH * len(blocks) / total
            blocks.append((FusedBlock if fused else Block)(inputs, outputs, stride, expansion, drop_path))
            inputs = outputs
    head = nn.Sequential(
        ("_conv_head", nn.Conv2D(inputs, _WIDTH, 1, bias_attr=False)),
        ("_norm", _norm(_WIDTH)),
        ("_act", nn.Silu()),
        ("_avg_pooling", nn.AdaptiveAvgPool2D(1)),
        ("_dropout", nn.Dropout(0.1)),
        ("_flatten", nn.Flatten()),
    )
    network = nn.Sequential(
        ("_stem", stem),
        ("_blocks", nn.Sequential(*blocks)),
        ("_head", head),
        ("_fc", nn.Linear(_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def efficientnet_v2_stages(network: nn.Sequential) -> list[Stage]:
    stem, blocks, (*last, _pool, dropout, _flatten), out = network
    *earlier, latest = from_stride_to_stride(blocks, [block.stride for block in blocks])
    return stages_of([stem], *earlier, [*latest, *last], head=[pooled, dropout, out])


_HALF = (128 / 255,) * 3
BACKBONES = (
    Backbone(
        name="efficientnetv2_s_imagenet",
        build=efficientnet_v2,
        stages=efficientnet_v2_stages,
        taps=("stage4", "stage5.-4"),
        width=_WIDTH,
        parameters=21_458_488,
        input_size=384,
        resize=416,
        weights=paddleclas("EfficientNetV2_S", None, None),
        aliases=("EfficientNetV2_S",),
        mean=_HALF,
        std=_HALF,
    ),
)
