"""PP-HGNetV2: blocks that join the outputs of all their layers, made for GPUs.

There is no paper of its own; form and key names are those of PaddleClas's
``legendary_models/pp_hgnet_v2.py``, and its page "PP-HGNetV2" describes the design: a stem with 2×2
convolutions, a 1×1 and a depthwise 5×5 convolution as one layer in the later stages, and a learned affine map
behind each activation of the smaller networks.

PaddleClas publishes two files for each network, both distilled (SSLD, https://arxiv.org/abs/2103.05959): the
last one, with the published accuracy, and that of the distillation's first stage, which it recommends for
fine-tuning and publishes no accuracy of.
"""

from collections.abc import Sequence
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import conv_bn, pooled
from hubtune.models.pp_hgnet import StageSizes, halving_stages

_HEAD_WIDTH = 2048


class LearnedAffine(nn.Layer):
    """Multiply by one learned number and add another; any shape."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))
        self.bias = self.create_parameter([1], is_bias=True)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        return self.scale * inputs + self.bias


def conv_bn_affine(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, affine: bool, groups: int = 1
) -> nn.Sequential:
    """Return convolution, batch normalisation, ReLU and, where ``affine`` is true, a learned affine map.

    Maps ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``, both rounded up; an even kernel
    has no padding, and takes away what it overhangs.
    """
    layers = conv_bn(inputs, outputs, kernel, stride, groups=groups, same=kernel % 2 == 1)
    if affine:
        layers.add_sublayer("lab", LearnedAffine())
    return layers


class Stem(nn.Layer):
    """Reduce height and width by 4, with 2×2 convolutions beside a 2×2 max pooling in between."""

    def __init__(self, middle: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.stem1 = conv_bn_affine(3, middle, 3, 2, affine=affine)
        self.stem2a = conv_bn_affine(middle, middle // 2, 2, affine=affine)
        self.stem2b = conv_bn_affine(middle // 2, middle, 2, affine=affine)
        self.stem3 = conv_bn_affine(2 * middle, middle, 3, 2, affine=affine)
        self.stem4 = conv_bn_affine(middle, outputs, 1, affine=affine)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Map pictures ``[N, 3, h, w]`` to ``[N, outputs, h / 4, w / 4]``."""
        first = self.stem1(images)
        convolved = self.stem2b(_pad_end(self.stem2a(_pad_end(first))))
        joined = paddle.concat([F.max_pool2d(first, 2, 1, padding="SAME"), convolved], axis=1)
        return self.stem4(self.stem3(joined))


def _pad_end(inputs: paddle.Tensor) -> paddle.Tensor:
    """Add a row and a column of zeros at the bottom and the right, for a 2×2 kernel."""
    return F.pad(inputs, [0, 1, 0, 1])


class Block(nn.Layer):
    """Layers in turn, whose outputs are joined with the input and squeezed by two 1×1 convolutions.

    There are ``depth`` layers with ``middle`` output channels each. If they are ``light``, each is a 1×1 and
    a depthwise 5×5 convolution instead of one 3×3. If it is ``residual``, the input is added to the output.
    """

    def __init__(
        self, inputs: int, middle: int, outputs: int, depth: int, *, light: bool, residual: bool, affine: bool
    ) -> None:
        super().__init__()
        self._residual = residual
        layer = _light_layer if light else partial(conv_bn_affine, kernel=3)
        sizes = [inputs, *[middle] * (depth - 1)]
        self.layers = nn.LayerList([layer(size, middle, affine=affine) for size in sizes])
        total = inputs + depth * middle
        self.aggregation_squeeze_conv = conv_bn_affine(total, outputs // 2, 1, affine=affine)
        self.aggregation_excitation_conv = conv_bn_affine(outputs // 2, outputs, 1, affine=affine)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h, w]``."""
        results = [inputs]
        for layer in self.layers:
            results.append(layer(results[-1]))
        outputs = self.aggregation_squeeze_conv(paddle.concat(results, axis=1))
        outputs = self.aggregation_excitation_conv(outputs)
        return outputs + inputs if self._residual else outputs


def _light_layer(inputs: int, outputs: int, *, affine: bool) -> nn.Sequential:
    return nn.Sequential(
        ("conv1", conv_bn(inputs, outputs, 1, activation=None)),
        ("conv2", conv_bn_affine(outputs, outputs, 5, groups=outputs, affine=affine)),
    )


def pp_hgnet_v2(
    stem: tuple[int, int], stages: Sequence[StageSizes], depth: int, affine: bool, num_classes: int = 1000
) -> nn.Sequential:
    """Return a PP-HGNetV2: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``stem`` is its channels inside and behind it. All ``stages`` but the first halve height and width, the
    last two have light layers, and each block has ``depth`` layers. ``affine`` as in :func:`conv_bn_affine`.
    """
    blocks = [partial(Block, depth=depth, light=number >= 2, affine=affine) for number in range(len(stages))]
    network = nn.Sequential(
        ("stem", Stem(*stem, affine)),
        ("stages", halving_stages(stem[1], stages, blocks)),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("last_conv", nn.Conv2D(stages[-1][1], _HEAD_WIDTH, 1, bias_attr=False)),
        ("act", nn.ReLU()),
        *([("lab", LearnedAffine())] if affine else []),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(_HEAD_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def pp_hgnet_v2_stages(network: nn.Sequential) -> list[Stage]:
    stem, stages, *between, out = network
    *earlier, last = stages
    return stages_of([stem], *([stage] for stage in earlier), [last, *between], head=[pooled, out])


def _backbone(size: str, parameters: int, top1: float, top5: float) -> Backbone:
    class_name, name = f"PPHGNetV2_{size}", f"pphgnetv2_{size.lower()}_imagenet"
    final, first = f"{class_name}_ssld", f"{class_name}_ssld_stage1"
    return Backbone(
        name=name,
        build=partial(pp_hgnet_v2, *_FORMS[size]),
        stages=pp_hgnet_v2_stages,
        taps=("stage3", "stage4.0"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        resize=232,
        interpolation="bicubic",
        weights=paddleclas(final, top1, top5, legendary=True),
        variants=(paddleclas(first, None, None, names=(f"{name}_ssld_stage1", first), legendary=True),),
        aliases=(class_name, f"{name}_ssld", final),
    )


# Stem, stages, depth and affine map, as of :func:`pp_hgnet_v2`.
_FORMS: dict[str, tuple[tuple[int, int], Sequence[StageSizes], int, bool]] = {
    "B0": ((16, 16), ((16, 64, 1), (32, 256, 1), (64, 512, 2), (128, 1024, 1)), 3, True),
    "B1": ((24, 32), ((32, 64, 1), (48, 256, 1), (96, 512, 2), (192, 1024, 1)), 3, True),
    "B2": ((24, 32), ((32, 96, 1), (64, 384, 1), (128, 768, 3), (256, 1536, 1)), 4, True),
    "B3": ((24, 32), ((32, 128, 1), (64, 512, 1), (128, 1024, 3), (256, 2048, 1)), 5, True),
    "B4": ((32, 48), ((48, 128, 1), (96, 512, 1), (192, 1024, 3), (384, 2048, 1)), 6, False),
    "B5": ((32, 64), ((64, 128, 1), (128, 512, 2), (256, 1024, 5), (512, 2048, 2)), 6, False),
    "B6": ((48, 96), ((96, 192, 2), (192, 512, 3), (384, 1024, 6), (768, 2048, 3)), 6, False),
}
BACKBONES = (
    _backbone("B0", 5_996_550, 77.77, 93.91),
    _backbone("B1", 6_343_158, 79.18, 94.57),
    _backbone("B2", 11_221_356, 81.74, 95.88),
    _backbone("B3", 16_292_216, 82.98, 96.43),
    _backbone("B4", 19_796_680, 83.57, 96.72),
    _backbone("B5", 39_569_064, 84.75, 97.32),
    _backbone("B6", 75_256_776, 86.30, 97.84),
)
