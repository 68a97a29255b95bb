"""PP-HGNet: blocks that join the outputs of all their layers, made for GPUs.

There is no paper of its own; form and key names are those of PaddleClas's ``legendary_models/pp_hgnet.py``.
Its files with ``ssld`` in their names are distilled (https://arxiv.org/abs/2103.05959).
"""

from collections.abc import Callable, Sequence
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import conv_bn, pooled

_HEAD_WIDTH = 2048

StageSizes = tuple[int, int, int]
"""Of a stage: channels inside a block and behind it, and the number of blocks."""


class Gate(nn.Layer):
    """Weigh the channels by what a 1×1 convolution makes of their averages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(channels, channels, 1)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        return inputs * F.sigmoid(self.conv(F.adaptive_avg_pool2d(inputs, 1)))


class Block(nn.Layer):
    """3×3 convolutions in turn, whose outputs are joined with the input, squeezed and weighed.

    There are ``depth`` of them with ``middle`` channels each. If it is ``residual``, the input is added to
    the output.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, depth: int, *, residual: bool) -> None:
        super().__init__()
        self._residual = residual
        sizes = [inputs, *[middle] * (depth - 1)]
        self.layers = nn.LayerList([conv_bn(size, middle, 3) for size in sizes])
        self.aggregation_conv = conv_bn(inputs + depth * middle, outputs, 1)
        self.att = Gate(outputs)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h, w]``."""
        results = [inputs]
        for layer in self.layers:
            results.append(layer(results[-1]))
        outputs = self.att(self.aggregation_conv(paddle.concat(results, axis=1)))
        return outputs + inputs if self._residual else outputs


def halving_stages(
    inputs: int, stages: Sequence[StageSizes], blocks: Sequence[Callable[..., nn.Layer]]
) -> nn.Sequential:
    """Return the stages of a PP-HGNet; all but the first halve height and width.

    ``blocks`` make a block of each stage, from its inputs, ``middle``, ``outputs`` and ``residual``.
    """
    parts = []
    for number, (make, (middle, outputs, count)) in enumerate(zip(blocks, stages, strict=True)):
        block = partial(make, middle=middle, outputs=outputs)
        layers = [block(inputs, residual=False), *(block(outputs, residual=True) for _ in range(1, count))]
        part = [("blocks", nn.Sequential(*layers))]
        if number > 0:
            part.insert(0, ("downsample", conv_bn(inputs, inputs, 3, 2, groups=inputs, activation=None)))
        parts.append(nn.Sequential(*part))
        inputs = outputs
    return nn.Sequential(*parts)


def pp_hgnet(
    stem: Sequence[int], stages: Sequence[StageSizes], depth: int, dropout: float, num_classes: int = 1000
) -> nn.Sequential:
    """Return a PP-HGNet: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``stem`` is the channels of its convolutions. All ``stages`` but the first halve height and width, and
    each block has ``depth`` layers.
    """
    first, *others = zip((3, *stem), stem, strict=False)
    block = partial(Block, depth=depth)
    network = nn.Sequential(
        ("stem", nn.Sequential(conv_bn(*first, 3, 2), *(conv_bn(*sizes, 3) for sizes in others))),
        ("pool", nn.MaxPool2D(3, 2, padding=1)),
        ("stages", halving_stages(stem[-1], stages, [block] * len(stages))),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("last_conv", nn.Conv2D(stages[-1][1], _HEAD_WIDTH, 1, bias_attr=False)),
        ("act", nn.ReLU()),
        # As in PaddleClas: it scales in prediction, not in training.
        ("dropout", nn.Dropout(dropout, mode="downscale_in_infer")),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(_HEAD_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def pp_hgnet_stages(network: nn.Sequential) -> list[Stage]:
    stem, pool, stages, *last_layers, dropout, _flatten, out = network
    *earlier, last = stages
    return stages_of(
        [stem, pool],
        *([stage] for stage in earlier),
        [last, *last_layers],
        head=[pooled, dropout, out],
    )


def _backbone(
    size: str,
    form: tuple[Sequence[int], Sequence[StageSizes], int, float],
    parameters: int,
    weights: PublishedWeights,
    *variants: PublishedWeights,
    resize: int = 236,
) -> Backbone:
    """Return the record of a network; ``form`` is stem, stages, depth and dropout of :func:`pp_hgnet`."""
    class_name, name = f"PPHGNet_{size}", f"pphgnet_{size}_imagenet"
    aliases = (class_name,) if variants else (class_name, f"{name}_ssld", f"{class_name}_ssld")
    return Backbone(
        name=name,
        build=partial(pp_hgnet, *form),
        stages=pp_hgnet_stages,
        taps=("stage3", "stage4.0"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        resize=resize,
        interpolation="bicubic",
        weights=weights,
        variants=variants,
        aliases=aliases,
    )


def _ssld(size: str, top1: float, top5: float, *, variant: bool = True) -> PublishedWeights:
    name = f"PPHGNet_{size}_ssld"
    names = (f"pphgnet_{size}_imagenet_ssld", name) if variant else ()
    return paddleclas(name, top1, top5, names=names, legendary=True)


_TINY = ((48, 48, 96), ((96, 224, 1), (128, 448, 1), (160, 512, 2), (192, 768, 1)), 5, 0.0)
_SMALL = ((64, 64, 128), ((128, 256, 1), (160, 512, 1), (192, 768, 2), (224, 1024, 1)), 6, 0.0)
_BASE = ((96, 96, 160), ((192, 320, 1), (224, 640, 2), (256, 960, 3), (288, 1280, 2)), 7, 0.2)
BACKBONES = (
    _backbone(
        "tiny",
        _TINY,
        14_735_864,
        paddleclas("PPHGNet_tiny", 79.83, 95.04, legendary=True),
        _ssld("tiny", 81.95, 96.12),
        resize=232,
    ),
    _backbone(
        "small",
        _SMALL,
        24_360_872,
        paddleclas("PPHGNet_small", 81.51, 95.82, legendary=True),
        _ssld("small", 83.82, 96.81),
    ),
    _backbone("base", _BASE, 71_578_184, _ssld("base", 85.00, 97.35, variant=False)),
)
