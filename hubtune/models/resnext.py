"""ResNeXt: ResNet with grouped convolutions, of 50 to 152 layers, plain and in the ``vd`` variant.

Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (https://arxiv.org/abs/1611.05431),
with the key names of PaddleClas's ``model_zoo/resnext.py`` and ``model_zoo/resnext_vd.py``. The name gives
the number of groups and the number of channels of a group in the first stage.
"""

from collections.abc import Callable
from functools import partial

from paddle import nn

from hubtune.models.backbone import Backbone
from hubtune.models.layers import zoo_conv_bn
from hubtune.models.resnet import (
    BOTTLENECK_CHANNELS,
    DEPTHS,
    Block,
    averaged_projection,
    bottleneck_block,
    deep_stem,
    plain_stem,
    strided_projection,
    zoo_backbone,
    zoo_resnet,
)
from hubtune.models.resnet_names import lettered


def grouped_block(
    groups: int, projection: Callable[..., nn.Sequential], scale: Callable[[int], nn.Layer] | None = None
) -> Block:
    """Return the maker of blocks with groups of 4 channels in the first stage."""
    grouped = partial(bottleneck_block, groups=groups, narrowing=BOTTLENECK_CHANNELS[0] // (4 * groups))
    return partial(grouped, conv=zoo_conv_bn, projection=projection, scale=scale)


def resnext(layers: int, groups: int, vd: bool, num_classes: int = 1000) -> nn.Sequential:
    stem = (deep_stem if vd else plain_stem)(conv=zoo_conv_bn)
    block = grouped_block(groups, averaged_projection if vd else strided_projection)
    return zoo_resnet(stem, block, (64, *BOTTLENECK_CHANNELS), DEPTHS[layers], num_classes)


def _backbone(
    layers: int, groups: int, parameters: int, top1: float, top5: float, *, vd: bool = False
) -> Backbone:
    name = f"ResNeXt{layers}{'_vd' if vd else ''}_{groups}x4d"
    names = lettered(DEPTHS[layers], stem="res_conv1", head="fc")
    build = partial(resnext, layers, groups, vd)
    return zoo_backbone(name, build, parameters, top1, top5, static_names=names)


BACKBONES = (
    _backbone(50, 32, 25_028_904, 77.75, 93.82),
    _backbone(50, 64, 45_192_488, 78.43, 94.13),
    _backbone(101, 32, 44_177_704, 78.65, 94.19),
    _backbone(101, 64, 83_455_272, 78.35, 94.52),
    _backbone(152, 32, 59_951_400, 78.98, 94.33),
    _backbone(152, 64, 114_971_944, 79.51, 94.71),
    _backbone(50, 32, 25_048_136, 79.56, 94.62, vd=True),
    _backbone(50, 64, 45_211_720, 80.12, 94.86, vd=True),
    _backbone(101, 32, 44_196_936, 80.33, 95.12, vd=True),
    _backbone(101, 64, 83_474_504, 80.78, 95.20, vd=True),
    _backbone(152, 32, 59_970_632, 80.72, 95.20, vd=True),
    _backbone(152, 64, 114_991_176, 81.08, 95.34, vd=True),
)
