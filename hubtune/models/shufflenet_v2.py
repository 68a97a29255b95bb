"""ShuffleNetV2: units that split the channels and shuffle them, in six widths and with swish.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design"
(https://arxiv.org/abs/1807.11164), with the key names of PaddleClas's ``model_zoo/shufflenet_v2.py``.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.static_names import StaticNames, rewriting

# Number of units in each stage.
_DEPTHS = (4, 8, 4)
_STEM = 24


class ShuffleUnit(nn.Layer):
    """A branch of three convolutions beside a shortcut, their channels interleaved.

    A unit that keeps the shape runs the branch on one half of the channels and leaves the other as it is. A
    unit that strides runs it on all channels and shortens the shortcut by two convolutions.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Layer]) -> None:
        super().__init__()
        half = outputs // 2
        self._strides = stride == 2
        self._names = [f"_conv_{step}{'_2' if self._strides else ''}" for step in ("pw", "dw", "linear")]
        pointwise = partial(zoo_conv_bn, kernel=1, activation=activation)
        depthwise = partial(zoo_conv_bn, kernel=3, stride=stride, activation=None)
        if self._strides:
            self._conv_dw_1 = depthwise(inputs, inputs, groups=inputs)
            self._conv_linear_1 = pointwise(inputs, half)
        branch = (
            pointwise(inputs if self._strides else half, half),
            depthwise(half, half, groups=half),
            pointwise(half, half),
        )
        for name, layer in zip(self._names, branch, strict=True):
            self.add_sublayer(name, layer)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``."""
        if self._strides:
            short, branch = self._conv_linear_1(self._conv_dw_1(inputs)), inputs
        else:
            short, branch = paddle.chunk(inputs, 2, axis=1)
        for name in self._names:
            branch = getattr(self, name)(branch)
        # The channels of both in turn; unlike a reshape to groups this needs no fixed height and width.
        return paddle.stack([short, branch], axis=2).flatten(1, 2)


def shufflenet_v2(
    channels: tuple[int, int, int],
    width: int,
    activation: Callable[[], nn.Layer] = nn.ReLU,
    num_classes: int = 1000,
) -> nn.Sequential:
    """Return a ShuffleNetV2: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``channels`` are those of each stage, and ``width`` is the number of features.
    """
    layers: list[tuple[str, nn.Layer]] = [
        ("_conv1", zoo_conv_bn(3, _STEM, 3, 2, activation=activation)),
        ("_max_pool", nn.MaxPool2D(3, 2, padding=1)),
    ]
    sizes = pairwise((_STEM, *channels))
    for number, ((inputs, outputs), depth) in enumerate(zip(sizes, _DEPTHS, strict=True), 2):
        layers.append((f"{number}_1", ShuffleUnit(inputs, outputs, 2, activation)))
        layers += [
            (f"{number}_{position}", ShuffleUnit(outputs, outputs, 1, activation))
            for position in range(2, depth + 1)
        ]
    return nn.Sequential(
        *layers,
        ("_last_conv", zoo_conv_bn(channels[-1], width, 1, activation=activation)),
        ("_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_fc", nn.Linear(width, num_classes)),
    )


def shufflenet_v2_stages(network: nn.Sequential) -> list[Stage]:
    *layers, pool, flatten, out = network
    return stages_of(layers[:2], layers[2:6], layers[6:14], layers[14:], head=[pool, flatten, out])


_STATIC_NAMES = StaticNames(
    rewriting(
        ("^_conv1$", "stage1_conv"),
        ("^_last_conv$", "conv5"),
        ("^_fc$", "fc6"),
        (r"^(\d_\d+)\.", r"stage_\1."),
        (r"\._conv_pw(_2)?$", "_conv1"),
        (r"\._conv_dw(_2)?$", "_conv2"),
        (r"\._conv_linear(_2)?$", "_conv3"),
        (r"\._conv_dw_1$", "_conv4"),
        (r"\._conv_linear_1$", "_conv5"),
    )
)


def _backbone(
    suffix: str,
    build: Callable[..., nn.Layer],
    width: int,
    parameters: int,
    top1: float,
    top5: float,
    aliases: tuple[str, ...] = (),
    name: str | None = None,
) -> Backbone:
    return Backbone(
        name=name or f"shufflenet_v2_{suffix}_imagenet",
        build=build,
        stages=shufflenet_v2_stages,
        taps=("stage2", "stage3.-2"),
        width=width,
        parameters=parameters,
        weights=paddleclas(f"ShuffleNetV2_{suffix}", top1, top5),
        aliases=(f"ShuffleNetV2_{suffix}", *aliases),
        static_names=_STATIC_NAMES,
    )


_X1_0 = partial(shufflenet_v2, (116, 232, 464), 1024)

BACKBONES = (
    _backbone("x0_25", partial(shufflenet_v2, (24, 48, 96), 512), 512, 603_688, 49.90, 73.79),
    _backbone("x0_33", partial(shufflenet_v2, (32, 64, 128), 512), 512, 647_272, 53.73, 77.05),
    _backbone("x0_5", partial(shufflenet_v2, (48, 96, 192), 1024), 1024, 1_366_792, 60.32, 82.26),
    _backbone("x1_0", _X1_0, 1024, 2_278_604, 68.80, 88.45, name="shufflenet_v2_imagenet"),
    _backbone("x1_5", partial(shufflenet_v2, (176, 352, 704), 1024), 1024, 3_503_624, 71.63, 90.15),
    _backbone("x2_0", partial(shufflenet_v2, (244, 488, 976), 2048), 2048, 7_393_996, 73.15, 91.20),
    # PaddleCV's table calls this one ShuffleNetV2.
    _backbone("swish", partial(_X1_0, nn.Swish), 1024, 2_278_604, 70.03, 89.17, aliases=("ShuffleNetV2",)),
)
