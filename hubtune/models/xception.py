"""Xception 41, 65 and 71: residual networks of depthwise separable convolutions.

Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (https://arxiv.org/abs/1610.02357).
The three depths are those of DeepLab: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for
Semantic Image Segmentation" (https://arxiv.org/abs/1802.02611). Form and key names are those of PaddleClas's
``model_zoo/xception.py``: the pointwise convolution comes before the depthwise one, each with its own batch
normalisation, blocks are reduced by max pooling, and their projections are bare convolutions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.static_names import StaticNames, rewriting

# Channels and stride of each block of the entry flow.
_ENTRY_OF_3 = ((128, 2), (256, 2), (728, 2))
_ENTRY_OF_5 = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))


def separable_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Return a pointwise and a 3×3 depthwise convolution; ``[N, inputs, h, w]`` → ``[N, outputs, h, w]``."""
    return nn.Sequential(
        ("_pointwise_conv", zoo_conv_bn(inputs, outputs, 1, activation=None)),
        ("_depthwise_conv", zoo_conv_bn(outputs, outputs, 3, groups=outputs, activation=None)),
    )


class XceptionBlock(nn.Layer):
    """Separable convolutions with a ReLU before each, or all but the first, added to a shortcut.

    ``channels`` are those of the input and of each convolution's output. ``stride`` is that of the max
    pooling and of the projection that is the shortcut; ``None`` for neither.
    """

    def __init__(
        self,
        names: Sequence[str],
        channels: Sequence[int],
        stride: int | None = None,
        relu_first: bool = True,
    ) -> None:
        super().__init__()
        self._names = tuple(names)
        self._relu_first = relu_first
        self._stride = stride
        self._short = None
        if stride is not None:
            self._short = nn.Conv2D(channels[0], channels[-1], 1, stride, bias_attr=False)
        for name, (inputs, outputs) in zip(names, pairwise(channels), strict=True):
            self.add_sublayer(name, separable_conv(inputs, outputs))

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, channels[0], h, w]`` to ``[N, channels[-1], h / stride, w / stride]``."""
        outputs = inputs
        for position, name in enumerate(self._names):
            if position > 0 or self._relu_first:
                outputs = F.relu(outputs)
            outputs = getattr(self, name)(outputs)
        if self._short is None:
            return inputs + outputs
        return self._short(inputs) + F.max_pool2d(outputs, 3, self._stride, padding=1)


def xception(entry: Sequence[tuple[int, int]], middle: int, num_classes: int = 1000) -> nn.Sequential:
    """Return an Xception: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``entry`` is channels and stride of each block of the entry flow, ``middle`` the number of blocks of the
    middle flow.
    """
    channels = [64, *(outputs for outputs, _ in entry)]
    entry_flow = [("_conv1", zoo_conv_bn(3, 32, 3, 2)), ("_conv2", zoo_conv_bn(32, 64, 3))]
    for number, ((inputs, outputs), (_, stride)) in enumerate(zip(pairwise(channels), entry, strict=True)):
        # The stem already ends in a ReLU.
        block = XceptionBlock(("_conv1", "_conv2"), (inputs, outputs, outputs), stride, relu_first=number > 0)
        entry_flow.append((f"_conv_{number}", block))
    middle_flow = [
        (f"_conv_{number}", XceptionBlock(("_conv_0", "_conv_1", "_conv_2"), (728,) * 4))
        for number in range(middle)
    ]
    exit_flow = [
        ("_conv_0", XceptionBlock(("_conv_1", "_conv_2"), (728, 728, 1024), stride=2)),
        ("_conv_1", separable_conv(1024, 1536)),
        ("_relu_1", nn.ReLU()),
        ("_conv_2", separable_conv(1536, 2048)),
        ("_relu_2", nn.ReLU()),
        ("_pool", nn.AdaptiveAvgPool2D(1)),
        ("_flatten", nn.Flatten()),
        ("_out", nn.Linear(2048, num_classes)),
    ]
    return nn.Sequential(
        ("_entry_flow", nn.Sequential(*entry_flow)),
        ("_middle_flow", nn.Sequential(*middle_flow)),
        ("_exit_flow", nn.Sequential(*exit_flow)),
    )


def xception_stages(network: nn.Sequential) -> list[Stage]:
    """Split a network made by :func:`xception`: stem, entry flow, middle flow, exit flow, head."""
    first, second, *entry = network._entry_flow
    *exit_flow, out = network._exit_flow
    return stages_of([first, second], entry, [*network._middle_flow], exit_flow, head=[out])


_STATIC_NAMES = StaticNames(
    rewriting(
        (r"^_exit_flow\._out$", "fc"),
        *((rf"^_exit_flow\._conv_{number}\.", f"exit_flow_{number + 1}.") for number in range(3)),
        (r"^_(entry|middle)_flow\._conv_(\d+)\.", r"\1_flow_\2."),
        (r"^_entry_flow\._", "entry_flow_"),
        *((rf"^(middle_flow_\d+)\._conv_{n}\.", rf"\1_branch2{'abc'[n]}_weights.") for n in range(3)),
        (r"\._conv_?1\.", "_branch2a_weights."),
        (r"\._conv_?2\.", "_branch2b_weights."),
        (r"\._short$", "_branch1"),
        (r"\._pointwise_conv$", "_sep"),
        (r"\._depthwise_conv$", "_dw"),
    ),
    norm=lambda layer: f"bn_{layer}",
)


def _backbone(
    depth: int, build: Callable[..., nn.Layer], parameters: int, top1: float, top5: float
) -> Backbone:
    return Backbone(
        name=f"xception{depth}_imagenet",
        build=build,
        stages=xception_stages,
        taps=("stage2", "stage3.0"),
        width=2048,
        parameters=parameters,
        input_size=299,
        resize=320,
        weights=paddleclas(f"Xception{depth}", top1, top5),
        aliases=(f"Xception{depth}",),
        static_names=_STATIC_NAMES,
    )


BACKBONES = (
    _backbone(41, partial(xception, _ENTRY_OF_3, 8), 22_919_600, top1=79.3, top5=94.53),
    _backbone(65, partial(xception, _ENTRY_OF_3, 16), 35_866_352, top1=81.0, top5=95.49),
    _backbone(71, partial(xception, _ENTRY_OF_5, 16), 37_678_496, top1=81.11, top5=95.45),
)
