"""How pictures enter a module where a recipe asks for another way than the one it was pretrained with."""

from typing import Any

import paddle

from hubtune.data.images.preprocessing import WHOLE_STEP, Preprocessing
from hubtune.errors import UsageError
from hubtune.hub.module import Module
from hubtune.models.backbone import Backbone
from hubtune.recipe.schema import ImageSettings

_STEP = 16  # sizes that are tried for a message, pixels


def preprocessing_for(
    name: str, own: Preprocessing, backbone: Backbone, asked: ImageSettings
) -> Preprocessing:
    """How pictures enter a module under a recipe.

    Args:
        name: the module's name.
        own: how they enter it otherwise.
        backbone: its architecture.
        asked: the recipe's settings.

    Raises:
        UsageError: the module cannot take pictures so.
    """
    multiple = backbone.size_multiple
    if asked.fit == "whole" and (multiple is None or WHOLE_STEP % multiple):
        size = backbone.input_size
        raise UsageError(
            f"{name} takes pictures of {size}×{size} only, and fit: whole gives other sizes: "
            "take crop, pad or stretch"
        )
    size = own.size if asked.size is None else asked.size
    if size not in (own.size, backbone.input_size) and (multiple is None or size % multiple):
        if multiple is None:
            wanted = f"takes pictures of {backbone.input_size}×{backbone.input_size} only: leave size away"
        else:
            below = size // multiple * multiple
            near = " or ".join(str(side) for side in (below, below + multiple) if side)
            wanted = f"takes sizes that are multiples of {multiple}: take {near}"
        raise UsageError(f"size: {size} does not go with {name}, which {wanted}")
    return own.override(name, fit=asked.fit, size=asked.size, channels=asked.channels)


def check_size(module: Module, size: int) -> None:
    """Refuse pictures that are too small for a network, by trying it on a blank one.

    Args:
        module: the network, as it takes three channels.
        size: side of the pictures, pixels.

    Raises:
        UsageError: nothing is left of them before the network's end; the message names a size that works.
    """
    if size >= module.backbone.input_size or _runs(module, size):
        return
    step = max(_STEP, module.backbone.size_multiple or 1)
    larger = range((size // step + 1) * step, module.backbone.input_size, step)
    least = next((side for side in larger if _runs(module, side)), module.backbone.input_size)
    raise UsageError(f"size: {size} is too small for {module.name}: take {least} or more")


def _runs(module: Module, side: int) -> bool:
    def check(_: Any, __: Any, output: Any) -> None:
        # Paddle goes on with what is empty, and pads it to something again.
        if isinstance(output, paddle.Tensor) and not output.size:
            raise ValueError("nothing is left")

    hooks = [layer.register_forward_post_hook(check) for layer in module.network.sublayers()]
    try:
        with paddle.no_grad():
            features = module.features(paddle.zeros([1, 3, side, side]))
    except Exception:  # noqa: BLE001  # Paddle and foreign networks refuse small inputs in many ways
        return False
    finally:
        for hook in hooks:
            hook.remove()
    return bool(paddle.isfinite(features).all())
