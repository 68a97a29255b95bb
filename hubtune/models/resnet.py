"""ResNet: residual networks of 18 to 200 layers, in three variants.

He et al., "Deep Residual Learning for Image Recognition" (https://arxiv.org/abs/1512.03385). The variants are
those of He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks"
(https://arxiv.org/abs/1812.01187): the plain one here strides in a bottleneck's 3×3 convolution ("B" there),
``vc`` has three 3×3 convolutions for the 7×7 one, and ``vd`` also averages before a projection in place of
striding in it. Key names are those of PaddleClas's ``legendary_models/resnet.py``, and for ``vc`` those of
``model_zoo/resnet_vc.py``; as there, the first block of every stage has a projection, the first stage's too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise, takewhile

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, paddleclas, stages_of
from hubtune.models.layers import conv_bn, pooled, zoo_conv_bn
from hubtune.models.resnet_names import from_older_names, lettered
from hubtune.models.static_names import StaticNames

DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}
"""Number of blocks in each stage, by the number of layers."""

# Output channels of each stage, by the kind of block.
BASIC_CHANNELS = (64, 128, 256, 512)
BOTTLENECK_CHANNELS = (256, 512, 1024, 2048)
# Makes a block from its input channels, output channels, stride and whether to project the input.
Block = Callable[[int, int, int, bool], "ResidualBlock"]
# ``conv_bn``, perhaps with other names in the state dict.
ConvBN = Callable[..., nn.Sequential]


class ResidualBlock(nn.Layer):
    """Layers whose output is added to a shortcut of their input, followed by a ReLU.

    ``layers`` are named ``conv0``, ``conv1``, … in the state dict. ``short`` projects the input, ``None``
    where the shapes agree without; ``scale`` runs before the addition.
    """

    def __init__(
        self, layers: Iterable[nn.Layer], short: nn.Layer | None, scale: nn.Layer | None = None
    ) -> None:
        super().__init__()
        self._names = []
        for number, layer in enumerate(layers):
            self.add_sublayer(f"conv{number}", layer)
            self._names.append(f"conv{number}")
        self.short, self.scale = short, scale

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        outputs = inputs
        for name in self._names:
            outputs = getattr(self, name)(outputs)
        if self.scale is not None:
            outputs = self.scale(outputs)
        return F.relu(outputs + (inputs if self.short is None else self.short(inputs)))


def strided_projection(inputs: int, outputs: int, stride: int, conv: ConvBN) -> nn.Sequential:
    """Return the projection of the plain variant: a 1×1 convolution that strides."""
    return conv(inputs, outputs, 1, stride, activation=None)


def averaged_projection(inputs: int, outputs: int, stride: int, conv: ConvBN) -> nn.Sequential:
    """Return the projection of the ``vd`` variant: an average over the stride before a 1×1 convolution."""
    steps = [*conv(inputs, outputs, 1, activation=None).named_children()]
    if stride > 1:
        steps.insert(0, ("pool", nn.AvgPool2D(2, stride, ceil_mode=True)))
    return nn.Sequential(*steps)


def basic_block(
    inputs: int,
    outputs: int,
    stride: int,
    project: bool,
    *,
    conv: ConvBN = conv_bn,
    projection: Callable[..., nn.Sequential] = strided_projection,
    scale: Callable[[int], nn.Layer] | None = None,
) -> ResidualBlock:
    """Return the block of 18 and 34 layers: two 3×3 convolutions.

    ``stride`` is that of the first convolution and the projection; ``project``, whether the shortcut has one.
    ``conv`` and ``projection`` make these, ``scale`` what runs before the addition, from its channels.
    """
    return ResidualBlock(
        [conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3, activation=None)],
        projection(inputs, outputs, stride, conv) if project else None,
        scale(outputs) if scale else None,
    )


def bottleneck_block(
    inputs: int,
    outputs: int,
    stride: int,
    project: bool,
    *,
    narrowing: int = 4,
    groups: int = 1,
    conv: ConvBN = conv_bn,
    projection: Callable[..., nn.Sequential] = strided_projection,
    scale: Callable[[int], nn.Layer] | None = None,
) -> ResidualBlock:
    """Return the block of 50 and more layers: a 3×3 convolution between two 1×1 convolutions.

    Its 3×3 convolution has ``outputs / narrowing`` channels in ``groups``; the rest is as in
    :func:`basic_block`.
    """
    width = outputs // narrowing
    return ResidualBlock(
        [
            conv(inputs, width, 1),
            conv(width, width, 3, stride, groups=groups),
            conv(width, outputs, 1, activation=None),
        ],
        projection(inputs, outputs, stride, conv) if project else None,
        scale(outputs) if scale else None,
    )


def _residual_stages(
    block: Block, channels: Sequence[int], depths: Sequence[int]
) -> Iterator[list[ResidualBlock]]:
    """Yield the blocks of each stage; all stages but the first halve height and width."""
    for stage, ((inputs, outputs), depth) in enumerate(zip(pairwise(channels), depths, strict=True)):
        first = block(inputs, outputs, 1 if stage == 0 else 2, True)
        yield [first, *(block(outputs, outputs, 1, False) for _ in range(1, depth))]


class ResNet(nn.Layer):
    """A stem, stages of residual blocks and a linear head on the pooled features.

    All stages but the first halve height and width, and each stage's first block projects its input.
    ``channels`` are those of the stem's output and of each stage's.
    """

    def __init__(
        self,
        stem: Sequence[nn.Layer],
        block: Block,
        channels: Sequence[int],
        depths: Sequence[int],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential(
            *(b for stage in _residual_stages(block, channels, depths) for b in stage)
        )
        self.depths = tuple(depths)
        self.fc = nn.Linear(channels[-1], num_classes)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return self.fc(pooled(self.blocks(self.stem(images))))


def resnet_stages(network: ResNet) -> list[Stage]:
    blocks = iter(network.blocks)
    return stages_of(
        [*network.stem], *([*islice(blocks, depth)] for depth in network.depths), head=[pooled, network.fc]
    )


def plain_stem(width: int = 64, conv: ConvBN = conv_bn) -> list[nn.Layer]:
    """Return a 7×7 convolution and a max pooling: ``[N, 3, h, w]`` → ``[N, width, h / 4, w / 4]``."""
    return [conv(3, width, 7, 2), nn.MaxPool2D(3, 2, padding=1)]


def deep_stem(width: int = 64, conv: ConvBN = conv_bn) -> list[nn.Layer]:
    """Return the same with three 3×3 convolutions, as the ``vc`` and ``vd`` variants have it."""
    half = width // 2
    convolutions = [conv(3, half, 3, 2), conv(half, half, 3), conv(half, width, 3)]
    return [*convolutions, nn.MaxPool2D(3, 2, padding=1)]


def zoo_resnet(
    stem: Sequence[nn.Layer],
    block: Block,
    channels: Sequence[int],
    depths: Sequence[int],
    num_classes: int = 1000,
) -> nn.Sequential:
    """Return a :class:`ResNet` with the names of PaddleClas's folder ``model_zoo`` in the state dict.

    The last layer of ``stem`` is a max pooling.
    """
    *convolutions, pool = stem
    names = ["conv"] if len(convolutions) == 1 else [f"conv1_{n}" for n in range(1, len(convolutions) + 1)]
    return nn.Sequential(
        *zip(names, convolutions, strict=True),
        ("pool2d_max", pool),
        *(
            (f"bb_{stage}_{number}", residual)
            for stage, blocks in enumerate(_residual_stages(block, channels, depths))
            for number, residual in enumerate(blocks)
        ),
        ("pool2d_avg", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("out", nn.Linear(channels[-1], num_classes)),
    )


def zoo_resnet_stages(network: nn.Sequential) -> list[Stage]:
    *layers, pool, flatten, out = network
    stem = [*takewhile(lambda layer: not isinstance(layer, ResidualBlock), layers)]
    stages: list[list[nn.Layer]] = []
    for block in layers[len(stem) :]:
        if block.short is not None:
            stages.append([])
        stages[-1].append(block)
    return stages_of(stem, *stages, head=[pool, flatten, out])


def zoo_backbone(
    name: str,
    build: Callable[..., nn.Layer],
    parameters: int,
    top1: float,
    top5: float,
    *,
    static_names: StaticNames,
    width: int = BOTTLENECK_CHANNELS[-1],
    aliases: tuple[str, ...] = (),
) -> Backbone:
    """Return the record of a network made by :func:`zoo_resnet`; ``name`` is PaddleClas's."""
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=build,
        stages=zoo_resnet_stages,
        taps=("stage3", "stage4.-1"),
        width=width,
        parameters=parameters,
        weights=paddleclas(name, top1, top5),
        aliases=(name, *aliases),
        static_names=static_names,
    )


def block_and_channels(layers: int) -> tuple[Callable[..., ResidualBlock], tuple[int, ...]]:
    """Return the kind of block, and the output channels of each stage, by the number of layers."""
    return (basic_block, BASIC_CHANNELS) if layers < 50 else (bottleneck_block, BOTTLENECK_CHANNELS)


def _imagenet_resnet(
    layers: int,
    stem: Callable[[], Sequence[nn.Layer]],
    projection: Callable[..., nn.Sequential],
    num_classes: int = 1000,
) -> ResNet:
    block, channels = block_and_channels(layers)
    return ResNet(stem(), partial(block, projection=projection), (64, *channels), DEPTHS[layers], num_classes)


def _resnet50_vc(num_classes: int = 1000) -> nn.Sequential:
    block = partial(bottleneck_block, conv=zoo_conv_bn)
    return zoo_resnet(deep_stem(conv=zoo_conv_bn), block, (64, *BOTTLENECK_CHANNELS), DEPTHS[50], num_classes)


def _backbone(
    layers: int,
    variant: str,
    build: Callable[..., nn.Layer],
    parameters: int,
    top1: float,
    top5: float,
    *,
    aliases: tuple[str, ...] = (),
    variants: tuple[PublishedWeights, ...] = (),
) -> Backbone:
    name = f"ResNet{layers}{variant}"
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(build, layers),
        stages=resnet_stages,
        taps=("stage3", "stage4.-1"),
        width=block_and_channels(layers)[1][-1],
        parameters=parameters,
        weights=paddleclas(name, top1, top5, legendary=True),
        variants=variants,
        aliases=(name, *aliases),
        translate=partial(from_older_names, DEPTHS[layers]),
        static_names=lettered(DEPTHS[layers], stem="conv1_{}" if variant else "conv1"),
    )


def _plain(layers: int, parameters: int, top1: float, top5: float, *aliases: str) -> Backbone:
    build = partial(_imagenet_resnet, stem=plain_stem, projection=strided_projection)
    # PaddleHub 1 has these networks under names with "v2", though their blocks are those of the first paper.
    names = (f"resnet_v2_{layers}_imagenet", *aliases)
    return _backbone(layers, "", build, parameters, top1, top5, aliases=names)


def _vd(layers: int, parameters: int, top1: float, top5: float, *variants: PublishedWeights) -> Backbone:
    build = partial(_imagenet_resnet, stem=deep_stem, projection=averaged_projection)
    names = ("resnet50_v2_imagenet",) if layers == 50 else ()  # PaddleHub 1's, unlike resnet_v2_50_imagenet
    return _backbone(layers, "_vd", build, parameters, top1, top5, aliases=names, variants=variants)


def _ssld(layers: int, top1: float, top5: float) -> PublishedWeights:
    """Return the weights that were distilled from a larger network (https://arxiv.org/abs/2103.05959)."""
    names = (f"resnet{layers}_vd_imagenet_ssld", f"ResNet{layers}_vd_ssld")
    return paddleclas(f"ResNet{layers}_vd_ssld", top1, top5, names=names, legendary=True)


# In the lists of PaddleClas 2.0 only.
_RESNET50_VD_V2 = (
    paddleclas(
        "ResNet50_vd_ssld_v2", 83.00, 96.40, names=("resnet50_vd_imagenet_ssld_v2", "ResNet50_vd_ssld_v2")
    ),
    paddleclas("ResNet50_vd_v2", 79.84, 94.93, names=("resnet50_vd_imagenet_v2", "ResNet50_vd_v2")),
)
# Trained on Baidu's 100,000 classes, by PaddleHub's page.
_RESNET50_VD_10W = PublishedWeights(
    "https://paddlehub.bj.bcebos.com/dygraph/image_classification/resnet50_vd_10w.pdparams",
    ("resnet50_vd_10w",),
)
BACKBONES = (
    _plain(18, 11_693_736, 70.98, 89.92),
    _plain(34, 21_801_896, 74.57, 92.14, "resnet34_v2_imagenet"),
    _plain(50, 25_557_032, 76.50, 93.00),
    _plain(101, 44_549_160, 77.56, 93.64),
    _plain(152, 60_192_808, 78.26, 93.96),
    _vd(18, 11_712_968, 72.26, 90.80),
    _vd(34, 21_821_128, 75.98, 92.98, _ssld(34, 79.72, 94.90)),
    _vd(50, 25_576_264, 79.12, 94.44, _ssld(50, 83.00, 96.40), *_RESNET50_VD_V2, _RESNET50_VD_10W),
    _vd(101, 44_568_392, 80.17, 94.97, _ssld(101, 83.73, 96.69)),
    _vd(152, 60_212_040, 80.59, 95.30),
    _vd(200, 74_738_504, 80.93, 95.33),
    zoo_backbone("ResNet50_vc", _resnet50_vc, 25_576_264, 78.35, 94.03, static_names=lettered(DEPTHS[50])),
)
