"""DarkNet53: the network of YOLOv3, of pairs of 1×1 and 3×3 convolutions with shortcuts.

Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (https://arxiv.org/abs/1804.02767), with the key
names of PaddleClas's ``model_zoo/darknet.py`` and its ReLU in place of the leaky one.
"""

from functools import partial

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import conv_bn

# Number of blocks of each stage; each stage doubles the channels.
_DEPTHS = (1, 2, 8, 8, 4)
_STEM = 32

_conv_bn = partial(conv_bn, names=("_conv", "_bn"))


class Block(nn.Layer):
    """A 1×1 convolution to half of the channels and a 3×3 one back, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._conv1 = _conv_bn(channels, channels // 2, 1)
        self._conv2 = _conv_bn(channels // 2, channels, 3)

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        return inputs + self._conv2(self._conv1(inputs))


def darknet53(num_classes: int = 1000) -> nn.Sequential:
    """Return a DarkNet53: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    channels = 2 * _STEM
    layers = [("_conv1", _conv_bn(3, _STEM, 3)), ("_conv2", _conv_bn(_STEM, channels, 3, 2))]
    for stage, depth in enumerate(_DEPTHS):
        if stage > 0:
            layers.append((f"_downsample_{stage - 1}", _conv_bn(channels, 2 * channels, 3, 2)))
            channels *= 2
        layers += [(f"_basic_block_{stage}{number}", Block(channels)) for number in range(1, depth + 1)]
    return nn.Sequential(
        *layers,
        ("_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_out", nn.Linear(channels, num_classes)),
    )


def darknet53_stages(network: nn.Sequential) -> list[Stage]:
    first, second, *layers, pool, flatten, out = network
    stages: list[list[nn.Layer]] = [[]]
    for layer in layers:
        if not isinstance(layer, Block):
            stages.append([])
        stages[-1].append(layer)
    return stages_of([first, second], *stages, head=[pool, flatten, out])


BACKBONES = (
    Backbone(
        name="darknet53_imagenet",
        build=darknet53,
        stages=darknet53_stages,
        taps=("stage4", "stage5.-1"),
        width=1024,
        parameters=41_609_928,
        input_size=256,
        resize=292,
        weights=paddleclas("DarkNet53", 78.0, 94.1),
        aliases=("DarkNet53",),
    ),
)
