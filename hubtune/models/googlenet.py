"""GoogLeNet.

Szegedy et al., "Going Deeper with Convolutions" (https://arxiv.org/abs/1409.4842). The layers are those of
``paddle.vision``, which PaddleClas's ``model_zoo/googlenet.py`` equals in key names, function and weights
file: both names mean the same here.
"""

from dataclasses import replace

import paddle
from paddle.nn import functional
from paddle.vision import models

from hubtune.models.backbone import AuxiliaryOutput, Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import pooled
from hubtune.models.static_names import StaticNames, rewriting


class MainGoogLeNet(models.GoogLeNet):
    """GoogLeNet that answers with its main output only.

    The auxiliary outputs are for training, and take 224-pixel input only. Their layers remain, so that its
    files fit; the forward pass leaves them out.
    """

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        for stage in googlenet_stages(self):
            images = stage.forward(images)
        return images


def googlenet_stages(network: MainGoogLeNet) -> list[Stage]:
    """Split a GoogLeNet: stem, the inception blocks of each size, head."""
    pool = network._pool.forward  # used four times, so that no stage can own the layer
    stem, fine, middle, coarse, head = stages_of(
        [network._conv, pool, network._conv_1, network._conv_2, pool],
        [network._ince3a, network._ince3b, pool],
        [network._ince4a, network._ince4b, network._ince4c, network._ince4d, network._ince4e, pool],
        [network._ince5a, network._ince5b],
        head=[pooled, network._drop, network._fc_out],
    )
    auxiliary = [network._conv_o1, network._fc_o1, network._drop_o1]
    auxiliary += [network._conv_o2, network._fc_o2, network._drop_o2]
    middle = replace(middle, layers=(*middle.layers, *auxiliary))
    return [stem, fine, middle, coarse, replace(head, layers=(*head.layers, network._out1, network._out2))]


def auxiliary_outputs(network: MainGoogLeNet) -> list[AuxiliaryOutput]:
    """Return the branches after inception 4a and 4d, up to their last layer, which depends on the classes."""

    def first(images: paddle.Tensor) -> paddle.Tensor:
        hidden = network._fc_o1(network._conv_o1(network._pool_o1(images)).flatten(1))
        return network._drop_o1(functional.relu(hidden))

    def second(images: paddle.Tensor) -> paddle.Tensor:
        # Without ReLU, as in PaddlePaddle's model.
        return network._drop_o2(network._fc_o2(network._conv_o2(network._pool_o2(images)).flatten(1)))

    return [AuxiliaryOutput("stage2", 0, 1024, first), AuxiliaryOutput("stage2", 3, 1024, second)]


_STATIC_NAMES = StaticNames(
    rewriting(
        ("^_conv$", "conv1"),
        ("^_conv_1$", "conv2_1x1"),
        ("^_conv_2$", "conv2_3x3"),
        ("^_ince", "inception_ince"),
        (r"\._conv1$", "_1x1"),
        (r"\._conv(\d)$", r"_\1x\1"),
        (r"\._conv(\d)r$", r"_\1x\1_reduce"),
        (r"\._convprj$", "_3x3_proj"),
        ("^_fc_out$", "out"),
        ("^_", ""),
    )
)


BACKBONES = (
    Backbone(
        name="googlenet_imagenet",
        build=MainGoogLeNet,
        stages=googlenet_stages,
        taps=("stage2", "stage3.0"),
        auxiliary=auxiliary_outputs,
        width=1024,
        parameters=11_535_736,
        # The sum that paddle.vision publishes for the same address.
        weights=replace(paddleclas("GoogLeNet", 70.70, 89.66), md5="80c06f038e905c53ab32c40eca6e26ae"),
        aliases=("GoogLeNet", "GoogleNet", "paddle.vision:googlenet"),
        static_names=_STATIC_NAMES,
    ),
)
