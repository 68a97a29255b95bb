"""RepVGG: a plain chain of 3×3 convolutions whose blocks have parallel branches in training.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again" (https://arxiv.org/abs/2101.03697), with the key
names of PaddleClas's ``model_zoo/repvgg.py``. The networks here keep their branches, as the published files
have them: a single convolution could stand for each block in prediction.
"""

from collections.abc import Sequence
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import conv_bn

_CHANNELS = (64, 128, 256, 512)
# Number of blocks in each stage, by the first letter of the name.
_DEPTHS = {"A": (2, 4, 14, 1), "B": (4, 6, 16, 1)}


class RepVGGBlock(nn.Layer):
    """The sum of a 3×3 and a 1×1 convolution and, if the shapes agree, of the input, each normalised."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        conv = partial(conv_bn, inputs, outputs, stride=stride, groups=groups, activation=None)
        self.rbr_identity = nn.BatchNorm2D(inputs) if inputs == outputs and stride == 1 else None
        self.rbr_dense = conv(kernel=3)
        self.rbr_1x1 = conv(kernel=1)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = self.rbr_dense(inputs) + self.rbr_1x1(inputs)
        if self.rbr_identity is not None:
            outputs = outputs + self.rbr_identity(inputs)
        return F.relu(outputs)


def repvgg(
    depths: Sequence[int], widths: Sequence[float], groups: int, num_classes: int = 1000
) -> nn.Sequential:
    """Return a RepVGG: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``widths`` are the factors of the stages' channels. Every second block has ``groups``.
    """
    inputs, number = min(_CHANNELS[0], int(_CHANNELS[0] * widths[0])), 1
    parts: list[tuple[str, nn.Layer]] = [("stage0", RepVGGBlock(3, inputs, 2, 1))]
    for stage, (depth, width, channels) in enumerate(zip(depths, widths, _CHANNELS, strict=True), 1):
        outputs, blocks = int(channels * width), []
        for position in range(depth):
            stride = 1 if position else 2
            blocks.append(RepVGGBlock(inputs, outputs, stride, 1 if number % 2 else groups))
            inputs, number = outputs, number + 1
        parts.append((f"stage{stage}", nn.Sequential(*blocks)))
    return nn.Sequential(
        *parts,
        ("gap", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("linear", nn.Linear(inputs, num_classes)),
    )


def repvgg_stages(network: nn.Sequential) -> list[Stage]:
    stem, *stages, pool, flatten, linear = network
    return stages_of([stem], *(list(stage) for stage in stages), head=[pool, flatten, linear])


def _backbone(
    size: str,
    factors: tuple[float, float],
    parameters: int,
    top1: float | None,
    top5: float | None,
    *,
    groups: int = 1,
) -> Backbone:
    """Return the record of a network; ``factors`` are of the first three stages' channels and the last's."""
    first, last = factors
    name = f"RepVGG_{size}"
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(repvgg, _DEPTHS[size[0]], (first, first, first, last), groups),
        stages=repvgg_stages,
        taps=("stage3", "stage4.-1"),
        width=int(_CHANNELS[-1] * last),
        parameters=parameters,
        weights=paddleclas(name, top1, top5),
        aliases=(name,),
    )


BACKBONES = (
    _backbone("A0", (0.75, 2.5), 9_108_968, 71.31, 90.16),
    _backbone("A1", (1, 2.5), 14_092_264, 73.80, 91.46),
    _backbone("A2", (1.5, 2.75), 28_210_600, 75.71, 92.64),
    _backbone("B0", (1, 2.5), 15_817_960, 74.50, 92.13),
    _backbone("B1", (2, 4), 57_415_016, 77.73, 93.85),
    _backbone("B1g2", (2, 4), 45_782_376, 77.32, 93.59, groups=2),
    _backbone("B1g4", (2, 4), 39_966_056, 76.75, 93.35, groups=4),
    _backbone("B2", (2.5, 5), 89_022_376, 78.13, 94.10),
    _backbone("B2g4", (2.5, 5), 61_758_376, 78.81, 94.48, groups=4),
    _backbone("B3", (3, 5), 123_085_288, None, None),
    _backbone("B3g4", (3, 5), 83_825_128, 79.65, 94.85, groups=4),
)
