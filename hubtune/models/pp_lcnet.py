"""PP-LCNet: depthwise separable convolutions for quick inference on CPUs.

Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network" (https://arxiv.org/abs/2109.15099),
with the key names of PaddleClas's ``legendary_models/pp_lcnet.py``.
"""

from functools import partial

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import conv_bn, pooled
from hubtune.models.mobilenet_v3 import HardGate, distilled, divisible

_HEAD_WIDTH = 1280

# Of each block: side of the kernel, output channels, stride, gate.
_STAGES: tuple[tuple[tuple[int, int, int, bool], ...], ...] = (
    ((3, 32, 1, False),),
    ((3, 64, 2, False), (3, 64, 1, False)),
    ((3, 128, 2, False), (3, 128, 1, False)),
    ((3, 256, 2, False), *((5, 256, 1, False),) * 5),
    ((5, 512, 2, True), (5, 512, 1, True)),
)


def separable_block(inputs: int, outputs: int, kernel: int, stride: int, gate: bool) -> nn.Sequential:
    """Return a depthwise convolution, a gate (where ``gate`` is true) and a pointwise convolution.

    Maps ``[N, inputs, h, w]`` to ``[N, outputs, h / stride, w / stride]``.
    """
    steps = [("dw_conv", conv_bn(inputs, inputs, kernel, stride, groups=inputs, activation=nn.Hardswish))]
    if gate:
        steps.append(("se", HardGate(inputs, slope=1 / 6)))
    steps.append(("pw_conv", conv_bn(inputs, outputs, 1, activation=nn.Hardswish)))
    return nn.Sequential(*steps)


def pp_lcnet(scale: float, num_classes: int = 1000) -> nn.Sequential:
    """Return a PP-LCNet: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``scale`` is the factor of all channels but those of the head.
    """
    inputs = divisible(16 * scale)
    layers = [("conv1", conv_bn(3, inputs, 3, 2, activation=nn.Hardswish))]
    for number, blocks in enumerate(_STAGES, 2):
        stage = []
        for kernel, channels, stride, gate in blocks:
            outputs = divisible(channels * scale)
            stage.append(separable_block(inputs, outputs, kernel, stride, gate))
            inputs = outputs
        layers.append((f"blocks{number}", nn.Sequential(*stage)))
    network = nn.Sequential(
        *layers,
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),
        ("last_conv", nn.Conv2D(inputs, _HEAD_WIDTH, 1, bias_attr=False)),
        ("act", nn.Hardswish()),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(0.2, mode="downscale_in_infer")),
        ("fc", nn.Linear(_HEAD_WIDTH, num_classes)),
    )
    kaiming_convolutions(network)
    return network


def pp_lcnet_stages(network: nn.Sequential) -> list[Stage]:
    stem, *stages, last = [*network][: len(_STAGES) + 1]
    *between, dropout, out = [*network][len(_STAGES) + 1 :]
    return stages_of([stem], *([stage] for stage in stages), [last, *between], head=[pooled, dropout, out])


def _backbone(
    scale: str, parameters: int, top1: float, top5: float, ssld: tuple[float, float] | None = None
) -> Backbone:
    class_name, name = f"PPLCNet_x{scale}", f"pplcnet_x{scale}_imagenet"
    return Backbone(
        name=name,
        build=partial(pp_lcnet, float(scale.replace("_", "."))),
        stages=pp_lcnet_stages,
        taps=("stage4", "stage5.0"),
        width=_HEAD_WIDTH,
        parameters=parameters,
        weights=paddleclas(class_name, top1, top5, legendary=True),
        variants=distilled(name, class_name, ssld),
        aliases=(class_name,),
    )


BACKBONES = (
    _backbone("0_25", 1_521_184, 51.86, 75.65),
    _backbone("0_35", 1_643_090, 58.09, 80.83),
    _backbone("0_5", 1_879_576, 63.14, 84.66, ssld=(66.10, 86.46)),
    _backbone("0_75", 2_357_008, 68.18, 88.30),
    _backbone("1_0", 2_952_520, 71.32, 90.03, ssld=(74.39, 92.09)),
    _backbone("1_5", 4_499_832, 73.71, 91.53),
    _backbone("2_0", 6_521_512, 75.18, 92.27),
    _backbone("2_5", 9_017_560, 76.60, 93.00, ssld=(80.82, 95.33)),
)
