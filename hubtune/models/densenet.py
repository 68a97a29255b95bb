"""DenseNet: every layer takes the outputs of all layers before it in its block.

Huang et al., "Densely Connected Convolutional Networks" (https://arxiv.org/abs/1608.06993). The networks are
those of ``paddle.vision``, which PaddleClas's ``model_zoo/densenet.py`` equals in key names, function and
weights files: both names mean the same here.
"""

from collections.abc import Callable
from dataclasses import replace

from paddle.vision import models

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.layers import pooled


def densenet_stages(network: models.DenseNet) -> list[Stage]:
    """Split a DenseNet: stem, each dense block with the transition or normalisation behind it, head."""
    between = [*network.transition_func_list, network.batch_norm]
    return stages_of(
        [network.conv1_func, network.pool2d_max],
        *zip(network.dense_block_func_list, between, strict=True),
        head=[pooled, network.out],
    )


def _backbone(
    function: Callable[..., models.DenseNet],
    width: int,
    parameters: int,
    top1: float,
    top5: float,
    *,
    md5: str,
) -> Backbone:
    """Return the record of a function of ``paddle.vision``, which publishes ``md5`` for the same address."""
    name = function.__name__
    class_name = name.replace("densenet", "DenseNet")
    return Backbone(
        name=f"{name}_imagenet",
        build=function,
        stages=densenet_stages,
        taps=("stage3", "stage4.1"),
        width=width,
        parameters=parameters,
        weights=replace(paddleclas(class_name, top1, top5), md5=md5),
        aliases=(class_name, f"paddle.vision:{name}"),
    )


BACKBONES = (
    _backbone(models.densenet121, 1024, 7_978_856, 75.66, 92.58, md5="db1b239ed80a905290fd8b01d3af08e4"),
    _backbone(models.densenet161, 2208, 28_681_000, 78.57, 94.14, md5="62158869cb315098bd25ddbfd308a853"),
    _backbone(models.densenet169, 1664, 14_149_480, 76.81, 93.31, md5="82cc7c635c3f19098c748850efb2d796"),
    _backbone(models.densenet201, 1920, 20_013_928, 77.63, 93.66, md5="16ca29565a7712329cf9e36e02caaf58"),
    _backbone(models.densenet264, 2688, 33_337_704, 77.96, 93.85, md5="3270ce516b85370bba88cfdd9f60bff4"),
)
