"""Res2Net: bottlenecks whose 3×3 convolution is a chain of smaller ones, for several scales in one block.

Gao et al., "Res2Net: A New Multi-scale Backbone Architecture" (https://arxiv.org/abs/1904.01169), with the
key names of PaddleClas's ``model_zoo/res2net.py`` and ``res2net_vd.py``. ``26w_4s`` means 4 scales of 26
channels in the first stage; ``vd`` is the variant of :mod:`~hubtune.models.resnet` of this name.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, pairwise
from string import ascii_lowercase

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.mobilenet_v3 import distilled
from hubtune.models.resnet import (
    BOTTLENECK_CHANNELS,
    DEPTHS,
    averaged_projection,
    deep_stem,
    plain_stem,
    strided_projection,
)


class Res2NetBlock(nn.Layer):
    """A bottleneck with a 3×3 convolution for each of its ``scales`` but the last.

    Each convolution takes its part of the channels, plus the output of the convolution before if the block
    does not stride. The last part stays as it is, or is averaged over the stride. ``width`` is the number of
    channels of a part; the convolutions' names in the state dict begin with ``name``. ``short`` projects the
    input, ``None`` where the shapes agree without.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        scales: int,
        stride: int,
        *,
        short: nn.Layer | None,
        name: str,
    ) -> None:
        super().__init__()
        self._stride = stride
        self._names = [f"{name}_branch2b_{number}" for number in range(1, scales)]
        self.conv0 = zoo_conv_bn(inputs, width * scales, 1)
        for each in self._names:
            self.add_sublayer(each, zoo_conv_bn(width, width, 3, stride))
        self.conv2 = zoo_conv_bn(width * scales, outputs, 1, activation=None)
        self.short = short

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        *parts, last = paddle.chunk(self.conv0(inputs), len(self._names) + 1, axis=1)
        maps: list[paddle.Tensor] = []
        for name, part in zip(self._names, parts, strict=True):
            chained = self._stride == 1 and maps
            maps.append(getattr(self, name)(part + maps[-1] if chained else part))
        maps.append(last if self._stride == 1 else F.avg_pool2d(last, 3, self._stride, padding=1))
        outputs = self.conv2(paddle.concat(maps, axis=1))
        return F.relu(outputs + (inputs if self.short is None else self.short(inputs)))


def _block_name(depths: Sequence[int], stage: int, number: int) -> str:
    """Return the name of a block as the authors of ResNet have it: ``res3b``, ``res4b1`` in deep networks."""
    if depths[2] > 6 and stage == 2:
        return f"res4b{number}" if number else "res4a"
    return f"res{stage + 2}{ascii_lowercase[number]}"


def res2net(
    depths: Sequence[int],
    width: int,
    scales: int,
    stem: Sequence[nn.Layer],
    projection: Callable[..., nn.Sequential],
    num_classes: int = 1000,
) -> nn.Sequential:
    """Return a Res2Net: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``width`` is the number of channels of each scale in the first stage; each later one doubles them. The
    last layer of ``stem`` is a max pooling.
    """
    *convolutions, pool = stem
    names = ["conv1"] if len(convolutions) == 1 else [f"conv1_{n}" for n in range(1, len(convolutions) + 1)]
    blocks: list[tuple[str, nn.Layer]] = []
    for stage, ((inputs, outputs), depth) in enumerate(
        zip(pairwise((64, *BOTTLENECK_CHANNELS)), depths, strict=True)
    ):
        for number in range(depth):
            stride = 2 if stage > 0 and number == 0 else 1
            block = Res2NetBlock(
                outputs if number else inputs,
                outputs,
                width * 2**stage,
                scales,
                stride,
                short=None if number else projection(inputs, outputs, stride, zoo_conv_bn),
                name=_block_name(depths, stage, number),
            )
            blocks.append((f"bb_{stage}_{number}", block))
    return nn.Sequential(
        *zip(names, convolutions, strict=True),
        ("pool2d_max", pool),
        *blocks,
        ("pool2d_avg", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("out", nn.Linear(BOTTLENECK_CHANNELS[-1], num_classes)),
    )


def _plain(width: int, scales: int, num_classes: int = 1000) -> nn.Sequential:
    stem = plain_stem(conv=zoo_conv_bn)
    return res2net(DEPTHS[50], width, scales, stem, strided_projection, num_classes)


def _vd(layers: int, num_classes: int = 1000) -> nn.Sequential:
    return res2net(DEPTHS[layers], 26, 4, deep_stem(conv=zoo_conv_bn), averaged_projection, num_classes)


def _stages(depths: Sequence[int], network: nn.Sequential) -> list[Stage]:
    *layers, pool, flatten, out = network
    blocks = iter(layers[-sum(depths) :])
    stages = [[*islice(blocks, depth)] for depth in depths]
    return stages_of(layers[: -sum(depths)], *stages, head=[pool, flatten, out])


def _backbone(
    name: str,
    layers: int,
    build: Callable[..., nn.Layer],
    parameters: int,
    top1: float,
    top5: float,
    ssld: tuple[float, float] | None = None,
) -> Backbone:
    hub_name = f"{name.lower()}_imagenet"
    return Backbone(
        name=hub_name,
        build=build,
        stages=partial(_stages, DEPTHS[layers]),
        taps=("stage3", "stage4.-1"),
        width=BOTTLENECK_CHANNELS[-1],
        parameters=parameters,
        weights=paddleclas(name, top1, top5),
        variants=distilled(hub_name, name, ssld, legendary=False),
        aliases=(name,),
    )


BACKBONES = (
    _backbone("Res2Net50_26w_4s", 50, partial(_plain, 26, 4), 25_699_120, 79.33, 94.57),
    _backbone("Res2Net50_14w_8s", 50, partial(_plain, 14, 8), 25_059_816, 79.46, 94.70),
    _backbone("Res2Net50_vd_26w_4s", 50, partial(_vd, 50), 25_718_352, 79.75, 94.91, ssld=(83.1, 96.6)),
    _backbone("Res2Net101_vd_26w_4s", 101, partial(_vd, 101), 45_225_920, 80.64, 95.22, ssld=(83.9, 97.1)),
    _backbone("Res2Net200_vd_26w_4s", 200, partial(_vd, 200), 76_215_536, 81.21, 95.71, ssld=(85.13, 97.42)),
)
