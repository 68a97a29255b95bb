"""The table of all backbones, one line per family."""

from collections.abc import Iterable
from dataclasses import dataclass

from hubtune.errors import ModelError, suggest
from hubtune.models import (
    alexnet,
    convnext,
    darknet,
    densenet,
    dpn,
    efficientnet,
    efficientnet_v2,
    esnet,
    ghostnet,
    googlenet,
    hrnet,
    inception_v4,
    levit,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    other_modules,
    paddle_book,
    paddle_vision,
    pai_cnn,
    pp_hgnet,
    pp_hgnet_v2,
    pp_lcnet,
    repvgg,
    res2net,
    resnet,
    resnext,
    resnext_wsl,
    rexnet,
    senet,
    shufflenet_v2,
    smallnet,
    swin,
    vgg,
    vit,
    xception,
)
from hubtune.models.backbone import Backbone, PublishedWeights
from hubtune.text import escaped

_FAMILIES = (
    alexnet.BACKBONES,
    vgg.BACKBONES,
    googlenet.BACKBONES,
    inception_v4.BACKBONES,
    xception.BACKBONES,
    resnet.BACKBONES,
    resnext.BACKBONES,
    resnext_wsl.BACKBONES,
    senet.BACKBONES,
    res2net.BACKBONES,
    densenet.BACKBONES,
    dpn.BACKBONES,
    hrnet.BACKBONES,
    nasnet.BACKBONES,
    darknet.BACKBONES,
    repvgg.BACKBONES,
    efficientnet.BACKBONES,
    efficientnet_v2.BACKBONES,
    rexnet.BACKBONES,
    mobilenet_v1.BACKBONES,
    mobilenet_v2.BACKBONES,
    shufflenet_v2.BACKBONES,
    mobilenet_v3.BACKBONES,
    ghostnet.BACKBONES,
    esnet.BACKBONES,
    pp_lcnet.BACKBONES,
    pp_hgnet.BACKBONES,
    pp_hgnet_v2.BACKBONES,
    convnext.BACKBONES,
    swin.BACKBONES,
    vit.BACKBONES,
    levit.BACKBONES,
    smallnet.BACKBONES,
    paddle_book.BACKBONES,
    pai_cnn.BACKBONES,
    paddle_vision.BACKBONES,
)


@dataclass(frozen=True)
class Pretrained:
    """A backbone with one of its published weights files, by hub name; ``None`` if there is no file."""

    name: str
    backbone: Backbone
    weights: PublishedWeights | None
    aliases: tuple[str, ...]


def with_own_weights(backbone: Backbone) -> Pretrained:
    return Pretrained(backbone.name, backbone, backbone.weights, backbone.aliases)


def _entries(backbone: Backbone) -> list[Pretrained]:
    entries = [with_own_weights(backbone)]
    for weights in backbone.variants:
        name, *aliases = weights.names
        entries.append(Pretrained(name, backbone, weights, tuple(aliases)))
    return entries


def _by_name(entries: list[Pretrained]) -> dict[str, Pretrained]:
    table: dict[str, Pretrained] = {}
    for entry in entries:
        for name in (entry.name, *entry.aliases):
            if name in table:
                raise ValueError(f"two backbones are called {name!r}")
            table[name] = entry
    return table


PRETRAINED = tuple(entry for family in _FAMILIES for backbone in family for entry in _entries(backbone))
"""The entry of every hub name, in the order of the families."""

BY_NAME: dict[str, Pretrained] = _by_name(list(PRETRAINED))
"""The entries by hub name and alias."""

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for family in _FAMILIES for backbone in family}
"""Every architecture, by its hub name."""


def nearest_name(name: str, others: Iterable[str] = ()) -> str:
    """Return advice on an unknown name, such as the nearest of :data:`BY_NAME` and ``others``, or nothing."""
    known = paddle_book.depth_advice(name) or other_modules.other_module_advice(name)
    return known or suggest(name, [*BY_NAME, *others])


def lookup(name: str) -> Pretrained | None:
    """Return the entry of a hub name or alias; ``None`` if there is none."""
    if name in BY_NAME:
        return BY_NAME[name]
    backbone = paddle_book.of_depth(name)
    return None if backbone is None else with_own_weights(backbone)


def find(name: str) -> Pretrained:
    """Return the entry of a hub name or alias; raise ModelError if there is none."""
    entry = lookup(name)
    if entry is None:
        raise ModelError(
            f"There is no backbone '{escaped(name)}'.{nearest_name(name)} Known forms are hub names such as "
            "'resnet50_imagenet', class names such as 'ResNet50', and 'paddle.vision:resnet50'; "
            "`hubtune hub list` shows all."
        )
    return entry
