"""VGG: plain stacks of 3×3 convolutions.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(https://arxiv.org/abs/1409.1556), with the key names of PaddleClas's ``legendary_models/vgg.py``, whose
convolutions have no bias and whose dropout scales at inference, not in training. The first linear layer fixes
the input to 224 pixels.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, Tensors, paddleclas, stages_of
from hubtune.models.layers import renamed
from hubtune.models.static_names import StaticNames, rewriting

_CHANNELS = (3, 64, 128, 256, 512, 512)
_WIDTH = 4096


def _block(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Return ``depth`` convolutions and a pooling: ``[N, inputs, h, w]`` → ``[N, outputs, h / 2, w / 2]``."""
    layers: list[tuple[str, nn.Layer]] = []
    for number in range(1, depth + 1):
        conv = nn.Conv2D(inputs if number == 1 else outputs, outputs, 3, padding=1, bias_attr=False)
        layers += [(f"conv{number}", conv), (f"relu{number}", nn.ReLU())]
    return nn.Sequential(*layers, ("pool", nn.MaxPool2D(2, 2)))


def _dropout() -> nn.Dropout:
    return nn.Dropout(0.5, mode="downscale_in_infer")


def vgg(depths: Sequence[int], num_classes: int = 1000) -> nn.Sequential:
    """Return a VGG of blocks of ``depths``: ``[N, 3, 224, 224]`` → class scores ``[N, num_classes]``."""
    blocks = [
        (f"conv_block_{number}", _block(inputs, outputs, depth))
        for number, ((inputs, outputs), depth) in enumerate(zip(pairwise(_CHANNELS), depths, strict=True), 1)
    ]
    return nn.Sequential(
        *blocks,
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(_CHANNELS[-1] * 7 * 7, _WIDTH)),
        ("relu1", nn.ReLU()),
        ("drop1", _dropout()),
        ("fc2", nn.Linear(_WIDTH, _WIDTH)),
        ("relu2", nn.ReLU()),
        ("drop2", _dropout()),
        ("fc3", nn.Linear(_WIDTH, num_classes)),
    )


def vgg_stages(network: nn.Sequential) -> list[Stage]:
    """Split a network made by :func:`vgg`: the first block, the others, the hidden linear layers, head."""
    stem, *layers = network
    blocks, hidden, head = layers[:4], layers[4:-2], layers[-2:]
    return stages_of([stem], *([block] for block in blocks), hidden, head=head)


def from_older_names(tensors: Tensors) -> Tensors:
    """Give the tensors of a file of PaddleClas 2.0 the names that a :func:`vgg` has."""
    layers = {f"_conv_block_{number}": f"conv_block_{number}" for number in range(1, len(_CHANNELS))}
    layers |= {"_fc1": "fc1", "_fc2": "fc2", "_out": "fc3"}
    return renamed(tensors, layers, {f"_conv_{number}": f"conv{number}" for number in range(1, 5)})


_STATIC_NAMES = StaticNames(
    rewriting((r"^conv_block_(\d)\.conv", r"conv\1_"), ("^fc1$", "fc6"), ("^fc2$", "fc7"), ("^fc3$", "fc8"))
)


def _backbone(depths: Sequence[int], parameters: int, top1: float, top5: float) -> Backbone:
    name = f"VGG{sum(depths) + 3}"
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(vgg, depths),
        stages=vgg_stages,
        taps=("stage4",),
        width=_WIDTH,
        parameters=parameters,
        weights=paddleclas(name, top1, top5, legendary=True),
        aliases=(name,),
        size_multiple=None,
        translate=from_older_names,
        static_names=_STATIC_NAMES,
    )


BACKBONES = (
    _backbone((1, 1, 2, 2, 2), parameters=132_860_584, top1=69.3, top5=89.1),
    _backbone((2, 2, 2, 2, 2), parameters=133_044_904, top1=70.0, top5=89.4),
    _backbone((2, 2, 3, 3, 3), parameters=138_353_320, top1=72.0, top5=90.7),
    _backbone((2, 2, 4, 4, 4), parameters=143_661_736, top1=72.6, top5=90.9),
)
