"""ResNet: residual networks of 18 to 152 layers.

He et al., "Deep Residual Learning for Image Recognition" (https://arxiv.org/abs/1512.03385), with the key
names of PaddleClas's ``legendary_models/resnet.py`` and its two departures: a bottleneck strides in its 3×3
convolution, and the first block of every stage has a projection, the first stage's too.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice, pairwise

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import conv_bn, pooled


class ResidualBlock(nn.Layer):
    """Layers whose output is added to a shortcut of their input, followed by a ReLU.

    Args:
        layers: run in turn; named ``conv0``, ``conv1``, … in the state dict.
        short: the projection of the input; ``None`` where the shapes agree without.
    """

    def __init__(self, layers: Iterable[nn.Layer], short: nn.Layer | None) -> None:
        super().__init__()
        self._names = []
        for number, layer in enumerate(layers):
            self.add_sublayer(f"conv{number}", layer)
            self._names.append(f"conv{number}")
        self.short = short

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = inputs
        for name in self._names:
            outputs = getattr(self, name)(outputs)
        return F.relu(outputs + (inputs if self.short is None else self.short(inputs)))


def basic_block(inputs: int, outputs: int, stride: int, project: bool) -> ResidualBlock:
    """Return the block of ResNet18 and ResNet34: two 3×3 convolutions."""
    return ResidualBlock(
        [conv_bn(inputs, outputs, 3, stride), conv_bn(outputs, outputs, 3, relu=False)],
        conv_bn(inputs, outputs, 1, stride, relu=False) if project else None,
    )


def bottleneck_block(inputs: int, outputs: int, stride: int, project: bool) -> ResidualBlock:
    """Return the block of ResNet50 and deeper: a 3×3 convolution on a quarter of the channels."""
    width = outputs // 4
    return ResidualBlock(
        [
            conv_bn(inputs, width, 1),
            conv_bn(width, width, 3, stride),
            conv_bn(width, outputs, 1, relu=False),
        ],
        conv_bn(inputs, outputs, 1, stride, relu=False) if project else None,
    )


class ResNet(nn.Layer):
    """A stem, stages of residual blocks and a linear head on the pooled features.

    All stages but the first halve height and width, and each stage's first block projects its input.

    Args:
        stem: layers that come before the blocks.
        block: makes a block from its input channels, output channels, stride and whether to project.
        channels: of the stem's output and of each stage's.
        depths: number of blocks in each stage.
        num_classes: number of class scores.
    """

    def __init__(
        self,
        stem: Sequence[nn.Layer],
        block: Callable[[int, int, int, bool], ResidualBlock],
        channels: Sequence[int],
        depths: Sequence[int],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*stem)
        blocks = []
        for stage, ((inputs, outputs), depth) in enumerate(zip(pairwise(channels), depths, strict=True)):
            blocks.append(block(inputs, outputs, 1 if stage == 0 else 2, True))
            blocks.extend(block(outputs, outputs, 1, False) for _ in range(1, depth))
        self.blocks = nn.Sequential(*blocks)
        self.depths = tuple(depths)
        self.fc = nn.Linear(channels[-1], num_classes)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Map pictures ``[N, 3, h, w]`` to class scores ``[N, num_classes]``."""
        return self.fc(pooled(self.blocks(self.stem(images))))


def resnet_stages(network: ResNet) -> list[Stage]:
    """Split a :class:`ResNet`: stem, its stages, head."""
    blocks = iter(network.blocks)
    return stages_of(
        [*network.stem], *([*islice(blocks, depth)] for depth in network.depths), head=[pooled, network.fc]
    )


def _imagenet_resnet(
    block: Callable[[int, int, int, bool], ResidualBlock],
    channels: Sequence[int],
    depths: Sequence[int],
    num_classes: int = 1000,
) -> ResNet:
    stem = [conv_bn(3, 64, 7, 2), nn.MaxPool2D(3, 2, padding=1)]
    return ResNet(stem, block, (64, *channels), depths, num_classes)


_basic = partial(_imagenet_resnet, basic_block, (64, 128, 256, 512))
_bottleneck = partial(_imagenet_resnet, bottleneck_block, (256, 512, 1024, 2048))


def _backbone(
    depth: int, build: Callable[..., nn.Layer], width: int, parameters: int, top1: float
) -> Backbone:
    return Backbone(
        name=f"resnet{depth}_imagenet",
        build=build,
        stages=resnet_stages,
        width=width,
        parameters=parameters,
        weights=paddleclas(f"ResNet{depth}", top1, None, legendary=True),
        aliases=(f"ResNet{depth}",),
    )


BACKBONES = (
    _backbone(18, partial(_basic, (2, 2, 2, 2)), width=512, parameters=11_693_736, top1=70.98),
    _backbone(34, partial(_basic, (3, 4, 6, 3)), width=512, parameters=21_801_896, top1=74.57),
    _backbone(50, partial(_bottleneck, (3, 4, 6, 3)), width=2048, parameters=25_557_032, top1=76.5),
    _backbone(101, partial(_bottleneck, (3, 4, 23, 3)), width=2048, parameters=44_549_160, top1=77.56),
    _backbone(152, partial(_bottleneck, (3, 8, 36, 3)), width=2048, parameters=60_192_808, top1=78.26),
)
