"""The table of all backbones: one line a family."""

from collections.abc import Iterable

from hubtune.errors import ModelError, suggest
from hubtune.models import paddle_vision, resnet, smallnet, xception
from hubtune.models.backbone import Backbone

_FAMILIES = (
    resnet.BACKBONES,
    xception.BACKBONES,
    smallnet.BACKBONES,
    paddle_vision.BACKBONES,
)


def _by_name(named: Iterable[tuple[str, Backbone]]) -> dict[str, Backbone]:
    table: dict[str, Backbone] = {}
    for name, backbone in named:
        if name in table:
            raise ValueError(f"two backbones are called {name!r}")
        table[name] = backbone
    return table


_EVERY_NAME = _by_name(
    (name, backbone)
    for family in _FAMILIES
    for backbone in family
    for name in (backbone.name, *backbone.aliases)
)

BACKBONES: dict[str, Backbone] = {name: found for name, found in _EVERY_NAME.items() if name == found.name}
ALIASES: dict[str, Backbone] = {name: found for name, found in _EVERY_NAME.items() if name != found.name}


def find(name: str) -> Backbone:
    """Return the backbone with this hub name or alias.

    Raises:
        ModelError: if there is none.

    Example:
        >>> find("ResNet50").name
        'resnet50_imagenet'
    """
    if name not in _EVERY_NAME:
        raise ModelError(
            f"There is no backbone {name!r}.{suggest(name, _EVERY_NAME)} Known forms are hub names such as "
            "'resnet50_imagenet', class names such as 'ResNet50', and 'paddle.vision:resnet50'."
        )
    return _EVERY_NAME[name]
