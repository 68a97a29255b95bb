"""Translates PaddleClas's transforms of pictures into a recipe's size, fit and augmentation."""

from collections.abc import Callable, Mapping
from typing import Any

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_file import operations_of
from hubtune.compat.translation import Translation
from hubtune.models.catalog import find

_TRAIN = "DataLoader.Train.dataset.transform_ops"
_BATCH = "DataLoader.Train.dataset.batch_transform_ops"
_EVAL = "DataLoader.Eval.dataset.transform_ops"
_IMAGENET_CROP = [0.08, 1.0]  # RandCropImage's own

Settings = dict[str, Any]


def translate_augmentation(values: ConfigValues, translation: Translation) -> None:
    """Set ``data.size``, ``data.fit`` and ``train.augment``."""
    augment: Settings = {}
    train = operations_of(values.take(_TRAIN, []))
    for name, arguments in train:
        if name in _AUGMENTATIONS:
            augment.update(_AUGMENTATIONS[name](arguments))
        elif name not in _INPUT:
            translation.leave_out(f"{_TRAIN}.{name}", arguments, "hubtune does not have this augmentation")
        if name in _NEARLY:
            translation.leave_out(f"{_TRAIN}.{name}", arguments, _NEARLY[name])
    for name, arguments in operations_of(values.take(_BATCH, [])):
        # OpSampler draws one of several operations for each batch, as hubtune does.
        for inner, settings in arguments.items() if name == "OpSampler" else [(name, arguments)]:
            if inner not in _MIXTURES:
                translation.leave_out(
                    f"{_BATCH}.{inner}", settings, "hubtune does not have this augmentation"
                )
                continue
            key, alpha = _MIXTURES[inner]
            augment[key] = (
                (settings or {}).get("alpha", alpha) if isinstance(settings, Mapping | None) else alpha
            )
    if augment:
        translation.recipe["train"]["augment"] = augment
    _translate_input(dict(operations_of(values.take(_EVAL, []))), dict(train), values, translation)


def _crop(arguments: Settings) -> Settings:
    scale = arguments.get("scale")
    crop: Settings = {"crop": scale if isinstance(scale, list) else _IMAGENET_CROP}
    return {**crop, "aspect": arguments["ratio"]} if isinstance(arguments.get("ratio"), list) else crop


def _rand_augment(arguments: Settings) -> Settings:
    return {
        "randaugment": int(arguments.get("num_layers", 2)),
        "magnitude": float(arguments.get("magnitude", 5)),
    }


def _timm_augment(arguments: Settings) -> Settings:
    if arguments.get("prob") == 0:
        return {}
    parts = str(arguments.get("config_str", "")).split("-")
    magnitudes = [part[1:] for part in parts if part[:1] == "m" and part[1:].isdecimal()]
    return {"randaugment": 2, "magnitude": float(magnitudes[0]) if magnitudes else 9.0}


def _colours(arguments: Settings) -> Settings:
    names = ("brightness", "contrast", "saturation", "hue")
    return {name: arguments[name] for name in names if arguments.get(name) is not None}


_AUGMENTATIONS: Mapping[str, Callable[[Settings], Settings]] = {
    "RandCropImage": _crop,
    "RandFlipImage": lambda arguments: {"flip": 0.5} if arguments.get("flip_code", 1) == 1 else {},
    "RandAugment": _rand_augment,
    "RandAugmentV2": _rand_augment,
    "TimmAutoAugment": _timm_augment,
    "AutoAugment": lambda arguments: {"randaugment": 2, "magnitude": 5.0},
    "ColorJitter": _colours,
    "RandomErasing": lambda arguments: {"erase": arguments.get("EPSILON", 0.5)},
    "RandomRotation": lambda arguments: {"rotate": arguments.get("degrees", 0)},
}
_NEARLY = {
    "AutoAugment": "taken for RandAugment, which has the same operations",
    "TimmAutoAugment": "taken for RandAugment with two operations of this strength",
}
_MIXTURES = {"MixupOperator": ("mixup", 1.0), "CutmixOperator": ("cutmix", 0.2)}
_INPUT = ("DecodeImage", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage")


def _translate_input(
    evaluation: Settings, train: Settings, values: ConfigValues, translation: Translation
) -> None:
    """Set how pictures enter the network, which is the same in training and evaluation."""
    backbone = find(translation.recipe["module"]["name"]).backbone
    resize, crop = evaluation.get("ResizeImage", {}), evaluation.get("CropImage", {})
    size = crop.get("size", resize.get("size"))
    if size is None:
        shape = values.take("Global.image_shape")
        size = shape[-1] if isinstance(shape, list) and shape else backbone.input_size
    values.take("Global.image_shape")
    if isinstance(size, list) and len(set(map(str, size))) > 1:
        reason = f"a network's input is square: {max(size)} × {max(size)}"
        translation.leave_out(f"{_EVAL}.ResizeImage.size", str(size), reason)
        size = max(size)
    size = size[0] if isinstance(size, list) else size
    data = translation.recipe["data"]
    if size != backbone.input_size:
        data["size"] = size
    if "resize_short" not in resize and "size" in resize and not crop:
        data["fit"] = "stretch"
    short, usual = resize.get("resize_short"), backbone.resize / backbone.input_size
    if isinstance(short, int) and isinstance(size, int) and round(size * usual) != short:
        reason = f"pictures are scaled to {round(size * usual)} before the crop, as the module was pretrained"
        translation.leave_out(f"{_EVAL}.ResizeImage.resize_short", short, reason)
    drawn = train.get("RandCropImage", {}).get("size")
    if drawn is not None and drawn != size:
        reason = f"training pictures enter at the size of evaluation, {size}"
        translation.leave_out(f"{_TRAIN}.RandCropImage.size", drawn, reason)
    colours = evaluation.get("NormalizeImage", {})
    for key, own in (("mean", backbone.mean), ("std", backbone.std)):
        if isinstance(given := colours.get(key), list) and tuple(given) != own:
            reason = f"the module's own, {list(own)}, is used"
            translation.leave_out(f"{_EVAL}.NormalizeImage.{key}", str(given), reason)
