"""DPN: blocks with two outputs, one added as in ResNet, the other appended as in DenseNet.

Chen et al., "Dual Path Networks" (https://arxiv.org/abs/1707.01629), with the key names of PaddleClas's
``model_zoo/dpn.py``.
"""

from dataclasses import dataclass
from functools import partial

import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import zoo_conv_bn


@dataclass(frozen=True)
class Form:
    """What differs between the networks.

    Attributes:
        stem: channels of the stem, and the side of its kernel.
        groups: groups of the 3×3 convolutions.
        middle: channels of the 3×3 convolutions in the first stage; each later one doubles them.
        added: channels of the first stage that are added; each later one doubles them.
        appended: channels that each block of a stage appends.
        depths: number of blocks of each stage.
    """

    stem: tuple[int, int]
    groups: int
    middle: int
    added: int
    appended: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


_FORMS = {
    68: Form((10, 3), 32, 128, 64, (16, 32, 32, 64), (3, 4, 12, 3)),
    92: Form((64, 7), 32, 96, 256, (16, 32, 24, 128), (3, 4, 20, 3)),
    98: Form((96, 7), 40, 160, 256, (16, 32, 32, 128), (3, 6, 20, 3)),
    107: Form((128, 7), 50, 200, 256, (20, 64, 64, 128), (4, 8, 20, 3)),
    131: Form((128, 7), 40, 160, 256, (16, 32, 32, 128), (4, 8, 28, 3)),
}


def _bn_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Return batch normalisation, ReLU and convolution."""
    return nn.Sequential(
        ("_batch_norm", nn.BatchNorm2D(inputs)),
        ("activation", nn.ReLU()),
        ("_conv", nn.Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias_attr=False)),
    )


class DualPathBlock(nn.Layer):
    """Three convolutions: ``added`` channels of their output are added, ``appended`` ones are appended.

    With ``projects``, the input is projected first, to ``added`` and twice ``appended`` channels.
    """

    def __init__(
        self, inputs: int, middle: int, added: int, appended: int, *, groups: int, stride: int, projects: bool
    ) -> None:
        super().__init__()
        self._added = added
        projected = added + 2 * appended
        self.c1x1_w_func = _bn_conv(inputs, projected, 1, stride) if projects else None
        self.c1x1_a_func = _bn_conv(inputs, middle, 1)
        self.c3x3_b_func = _bn_conv(middle, middle, 3, stride, groups=groups)
        self.c1x1_c_func = _bn_conv(middle, added + appended, 1)
        self.outputs = (projected if projects else inputs) + appended

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``, the added channels first."""
        short = inputs if self.c1x1_w_func is None else self.c1x1_w_func(inputs)
        outputs = self.c1x1_c_func(self.c3x3_b_func(self.c1x1_a_func(inputs)))
        total = short[:, : self._added] + outputs[:, : self._added]
        return paddle.concat([total, short[:, self._added :], outputs[:, self._added :]], axis=1)


def dpn(form: Form, num_classes: int = 1000) -> nn.Sequential:
    """Return a DPN: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    channels, kernel = form.stem
    layers: list[tuple[str, nn.Layer]] = [
        ("conv1_x_1_func", zoo_conv_bn(3, channels, kernel, 2)),
        ("pool2d_max", nn.MaxPool2D(3, 2, padding=1)),
    ]
    for stage, (depth, appended) in enumerate(zip(form.depths, form.appended, strict=True)):
        for position in range(depth):
            block = DualPathBlock(
                channels,
                form.middle * 2**stage,
                form.added * 2**stage,
                appended,
                groups=form.groups,
                stride=2 if stage > 0 and position == 0 else 1,
                projects=position == 0,
            )
            layers.append((f"dpn{len(layers) - 1}", block))
            channels = block.outputs
    return nn.Sequential(
        *layers,
        ("conv5_x_x_bn", nn.BatchNorm2D(channels)),
        ("activation", nn.ReLU()),
        ("pool2d_avg", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("out", nn.Linear(channels, num_classes)),
    )


def dpn_stages(network: nn.Sequential) -> list[Stage]:
    convolution, pool, *blocks, norm, activation, average, flatten, out = network
    stages: list[list[nn.Layer]] = []
    for block in blocks:
        if block.c1x1_w_func is not None:
            stages.append([])
        stages[-1].append(block)
    *earlier, last = stages
    return stages_of([convolution, pool], *earlier, [*last, norm, activation], head=[average, flatten, out])


def _backbone(layers: int, width: int, parameters: int, top1: float, top5: float) -> Backbone:
    return Backbone(
        name=f"dpn{layers}_imagenet",
        build=partial(dpn, _FORMS[layers]),
        stages=dpn_stages,
        taps=("stage3", "stage4.-1"),
        width=width,
        parameters=parameters,
        weights=paddleclas(f"DPN{layers}", top1, top5),
        aliases=(f"DPN{layers}",),
    )


BACKBONES = (
    _backbone(68, 832, 12_611_602, 76.78, 93.43),
    _backbone(92, 2688, 37_668_392, 79.85, 94.80),
    _backbone(98, 2688, 61_570_728, 80.59, 95.10),
    _backbone(107, 2688, 86_917_800, 80.89, 95.32),
    _backbone(131, 2688, 79_254_504, 80.70, 95.14),
)
