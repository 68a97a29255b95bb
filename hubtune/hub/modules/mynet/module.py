"""A small convolutional network, to be changed into your own.

hubtune needs one thing from this file: BACKBONE, a record that says how to build the network, where it can be
cut into stages, and which pictures it takes.
"""

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, stages_of

WIDTH = 128  # features that the last layer sees


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Halve height and width: [N, inputs, h, w] → [N, outputs, h / 2, w / 2]."""
    return nn.Sequential(
        nn.Conv2D(inputs, outputs, 3, stride=2, padding=1, bias_attr=False),
        nn.BatchNorm2D(outputs),
        nn.ReLU(),
    )


def build(num_classes: int) -> nn.Sequential:
    """Return the network: pictures [N, 3, h, w] → class scores [N, num_classes]."""
    return nn.Sequential(
        ("stem", block(3, 16)),
        ("stage1", block(16, 32)),
        ("stage2", block(32, 64)),
        ("stage3", block(64, WIDTH)),
        ("pool", nn.AdaptiveAvgPool2D(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(WIDTH, num_classes)),
    )


def stages(network: nn.Sequential) -> list[Stage]:
    """Cut the network into parts that can be frozen, or given rates of their own; the last is the head."""
    stem, stage1, stage2, stage3, pool, flatten, fc = network
    return stages_of([stem], [stage1], [stage2], [stage3, pool, flatten], head=[fc])


BACKBONE = Backbone(
    name="mynet",
    build=build,
    stages=stages,
    width=WIDTH,
    parameters=sum(p.size for p in build(num_classes=1000).parameters() if not p.stop_gradient),
    input_size=64,  # side of the square that pictures are cut to, pixels
    resize=72,  # short side before that cut
)
