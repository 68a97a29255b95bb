"""InceptionV4.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning"
(https://arxiv.org/abs/1602.07261), figures 3–9, with the key names of PaddleClas's
``model_zoo/inception_v4.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.static_names import StaticNames

_WIDTH = 1536
# Inputs of a block of each kind.
_A, _B, _C = 384, 1024, 1536


@dataclass(frozen=True)
class Conv:
    """A convolution with normalisation and ReLU; ``name`` is that in the block's state dict."""

    name: str
    outputs: int
    kernel: int | tuple[int, int] = 1  # side, or height and width
    stride: int = 1
    same: bool = True  # whether the input is padded so that a stride of 1 keeps its size


Chain = Sequence["Conv | Callable[[paddle.Tensor], paddle.Tensor] | tuple[Chain, ...]"]
"""Steps that run in turn: convolutions, functions that keep the number of channels, and tuples of chains that
run side by side, their outputs concatenated."""


class InceptionBlock(nn.Layer):
    def __init__(self, inputs: int, chain: Chain) -> None:
        super().__init__()
        self._chain = chain
        self._build(inputs, chain)

    def _build(self, channels: int, chain: Chain) -> int:
        for step in chain:
            if isinstance(step, Conv):
                layer = zoo_conv_bn(channels, step.outputs, step.kernel, step.stride, same=step.same)
                self.add_sublayer(step.name, layer)
                channels = step.outputs
            elif isinstance(step, tuple):
                channels = sum(self._build(channels, branch) for branch in step)
        return channels

    def _run(self, inputs: paddle.Tensor, chain: Chain) -> paddle.Tensor:
        for step in chain:
            if isinstance(step, Conv):
                inputs = getattr(self, step.name)(inputs)
            elif isinstance(step, tuple):
                inputs = paddle.concat([self._run(inputs, branch) for branch in step], axis=1)
            else:
                inputs = step(inputs)
        return inputs

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        return self._run(inputs, self._chain)


_shrink = partial(F.max_pool2d, kernel_size=3, stride=2)
_smooth = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1)
_tall, _wide = (7, 1), (1, 7)

_STEM: Chain = [
    Conv("_conv_1", 32, 3, stride=2, same=False),
    Conv("_conv_2", 32, 3, same=False),
    Conv("_conv_3", 64, 3),
    ([_shrink], [Conv("_conv2", 96, 3, stride=2, same=False)]),
    (
        [Conv("_conv1_1", 64), Conv("_conv1_2", 96, 3, same=False)],
        [
            Conv("_conv2_1", 64),
            Conv("_conv2_2", 64, _tall),
            Conv("_conv2_3", 64, _wide),
            Conv("_conv2_4", 96, 3, same=False),
        ],
    ),
    ([Conv("_conv3", 192, 3, stride=2, same=False)], [_shrink]),
]
_INCEPTION_A: Chain = [
    (
        [_smooth, Conv("_conv1", 96)],
        [Conv("_conv2", 96)],
        [Conv("_conv3_1", 64), Conv("_conv3_2", 96, 3)],
        [Conv("_conv4_1", 64), Conv("_conv4_2", 96, 3), Conv("_conv4_3", 96, 3)],
    )
]
_REDUCTION_A: Chain = [
    (
        [_shrink],
        [Conv("_conv2", 384, 3, stride=2, same=False)],
        [Conv("_conv3_1", 192), Conv("_conv3_2", 224, 3), Conv("_conv3_3", 256, 3, stride=2, same=False)],
    )
]
_INCEPTION_B: Chain = [
    (
        [_smooth, Conv("_conv1", 128)],
        [Conv("_conv2", 384)],
        [Conv("_conv3_1", 192), Conv("_conv3_2", 224, _wide), Conv("_conv3_3", 256, _tall)],
        [
            Conv("_conv4_1", 192),
            Conv("_conv4_2", 192, _wide),
            Conv("_conv4_3", 224, _tall),
            Conv("_conv4_4", 224, _wide),
            Conv("_conv4_5", 256, _tall),
        ],
    )
]
_REDUCTION_B: Chain = [
    (
        [_shrink],
        [Conv("_conv2_1", 192), Conv("_conv2_2", 192, 3, stride=2, same=False)],
        [
            Conv("_conv3_1", 256),
            Conv("_conv3_2", 256, _wide),
            Conv("_conv3_3", 320, _tall),
            Conv("_conv3_4", 320, 3, stride=2, same=False),
        ],
    )
]
_INCEPTION_C: Chain = [
    (
        [_smooth, Conv("_conv1", 256)],
        [Conv("_conv2", 256)],
        [Conv("_conv3_0", 384), ([Conv("_conv3_1", 256, (1, 3))], [Conv("_conv3_2", 256, (3, 1))])],
        [
            Conv("_conv4_0", 384),
            Conv("_conv4_00", 448, (1, 3)),
            Conv("_conv4_000", 512, (3, 1)),
            ([Conv("_conv4_1", 256, (1, 3))], [Conv("_conv4_2", 256, (3, 1))]),
        ],
    )
]


def inception_v4(num_classes: int = 1000) -> nn.Sequential:
    return nn.Sequential(
        ("_inception_stem", InceptionBlock(3, _STEM)),
        *((f"_inceptionA_{number}", InceptionBlock(_A, _INCEPTION_A)) for number in range(1, 5)),
        ("_reductionA", InceptionBlock(_A, _REDUCTION_A)),
        *((f"_inceptionB_{number}", InceptionBlock(_B, _INCEPTION_B)) for number in range(1, 8)),
        ("_reductionB", InceptionBlock(_B, _REDUCTION_B)),
        *((f"_inceptionC_{number}", InceptionBlock(_C, _INCEPTION_C)) for number in range(1, 4)),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_drop", nn.Dropout(0.2, mode="downscale_in_infer")),
        ("out", nn.Linear(_WIDTH, num_classes)),
    )


def inception_v4_stages(network: nn.Sequential) -> list[Stage]:
    """Split a network made by :func:`inception_v4`: stem, the blocks of each kind, head."""
    stem, *layers = network
    blocks, (pool, flatten, drop, out) = layers[:-4], layers[-4:]
    return stages_of([stem], blocks[:4], blocks[4:12], blocks[12:], head=[pool, flatten, drop, out])


# Names in Paddle 1's programs, of which some give height and width of a kernel in the other order.
_STATIC_STEM = {
    "_conv_1": "conv1_3x3_s2",
    "_conv_2": "conv2_3x3_s1",
    "_conv_3": "conv3_3x3_s1",
    "_conv2": "inception_stem1_3x3_s2",
    "_conv1_1": "inception_stem2_3x3_reduce",
    "_conv1_2": "inception_stem2_3x3",
    "_conv2_1": "inception_stem2_1x7_reduce",
    "_conv2_2": "inception_stem2_1x7",
    "_conv2_3": "inception_stem2_7x1",
    "_conv2_4": "inception_stem2_3x3_2",
    "_conv3": "inception_stem3_3x3_s2",
}
_STATIC_PARTS = {
    "inceptionA": {
        "_conv1": "1x1",
        "_conv2": "1x1_2",
        "_conv3_1": "3x3_reduce",
        "_conv3_2": "3x3",
        "_conv4_1": "3x3_2_reduce",
        "_conv4_2": "3x3_2",
        "_conv4_3": "3x3_3",
    },
    "reductionA": {
        "_conv2": "3x3",
        "_conv3_1": "3x3_2_reduce",
        "_conv3_2": "3x3_2",
        "_conv3_3": "3x3_3",
    },
    "inceptionB": {
        "_conv1": "1x1",
        "_conv2": "1x1_2",
        "_conv3_1": "1x7_reduce",
        "_conv3_2": "1x7",
        "_conv3_3": "7x1",
        "_conv4_1": "7x1_2_reduce",
        "_conv4_2": "1x7_2",
        "_conv4_3": "7x1_2",
        "_conv4_4": "1x7_3",
        "_conv4_5": "7x1_3",
    },
    "reductionB": {
        "_conv2_1": "3x3_reduce",
        "_conv2_2": "3x3",
        "_conv3_1": "1x7_reduce",
        "_conv3_2": "1x7",
        "_conv3_3": "7x1",
        "_conv3_4": "3x3_2",
    },
    "inceptionC": {
        "_conv1": "1x1",
        "_conv2": "1x1_2",
        "_conv3_0": "1x1_3",
        "_conv3_1": "1x3",
        "_conv3_2": "3x1",
        "_conv4_0": "1x1_4",
        "_conv4_00": "1x3_2",
        "_conv4_000": "3x1_2",
        "_conv4_1": "1x3_3",
        "_conv4_2": "3x1_3",
    },
}


def _static_layer(path: str) -> str:
    """Return the name of a layer in Paddle 1's programs, such as ``inception_a1_3x3_reduce``."""
    block, _, part = path.partition(".")
    if block == "_inception_stem":
        return _STATIC_STEM[part]
    if block == "out":
        return "final_fc"
    kind, _, number = block.removeprefix("_").partition("_")
    return f"{kind[:-1]}_{kind[-1].lower()}{number}_{_STATIC_PARTS[kind][part]}"


BACKBONES = (
    Backbone(
        name="inceptionv4_imagenet",
        build=inception_v4,
        stages=inception_v4_stages,
        taps=("stage2", "stage3.-1"),
        width=_WIDTH,
        parameters=42_679_816,
        input_size=299,
        resize=320,
        weights=paddleclas("InceptionV4", 80.77, 95.26),
        aliases=("inception_v4_imagenet", "InceptionV4"),
        static_names=StaticNames(_static_layer),
    ),
)
