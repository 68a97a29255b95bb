"""AlexNet.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks"
(https://arxiv.org/abs/1404.5997). The layers are those of ``paddle.vision``, which PaddleClas's
``model_zoo/alexnet.py`` equals in key names, function and weights file: both names mean the same here.
"""

from dataclasses import replace

from paddle import nn
from paddle.nn import functional as F
from paddle.vision import models

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.static_names import StaticNames


def alexnet_stages(network: models.AlexNet) -> list[Stage]:
    """Split an AlexNet: the first two convolutions, the other three, the hidden linear layers, head."""
    return stages_of(
        [network._conv1],
        [network._conv2],
        [network._conv3, F.relu, network._conv4, F.relu, network._conv5],
        [nn.Flatten(), network._drop1, network._fc6, F.relu, network._drop2, network._fc7, F.relu],
        head=[network._fc8],
    )


_STATIC_NAMES = StaticNames(layer=lambda path: path.removeprefix("_"))
BACKBONES = (
    Backbone(
        name="alexnet_imagenet",
        build=models.AlexNet,
        stages=alexnet_stages,
        taps=("stage2",),
        width=4096,
        parameters=61_100_840,
        # The sum that paddle.vision publishes for the same address.
        weights=replace(paddleclas("AlexNet", 56.7, 79.2), md5="7f0f9f737132e02732d75a1459d98a43"),
        aliases=("AlexNet", "paddle.vision:alexnet"),
        size_multiple=None,
        static_names=_STATIC_NAMES,
    ),
)
