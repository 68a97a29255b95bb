"""Translates the flags of the PaddleCV model zoo's ``train.py`` into a recipe.

Source: PaddlePaddle/models, ``PaddleCV/image_classification/utils``, ``utility.py`` and ``optimizer.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hubtune.compat.paddleclas_recipe import translate_sections
from hubtune.compat.translation import Translation
from hubtune.errors import UsageError, suggest
from hubtune.storage.yaml_reader import plain_value
from hubtune.text import escaped, shortened

_SOURCE = "flags of PaddleCV's train.py"

# Flag → key of a PaddleClas configuration, the same program's later form.
_KEYS = {
    "model": "Arch.name",
    "num_epochs": "Global.epochs",
    "batch_size": "DataLoader.Train.sampler.batch_size",
    "model_save_dir": "Global.output_dir",
    "pretrained_model": "Global.pretrained_model",
    "random_seed": "Global.seed",
    "print_step": "Global.print_batch_step",
    "data_dir": "DataLoader.Train.dataset.image_root",
    "reader_thread": "DataLoader.Train.loader.num_workers",
    "lr": "Optimizer.lr.learning_rate",
    "momentum_rate": "Optimizer.momentum",
    "l2_decay": "Optimizer.regularizer.coeff",
    "warm_up_epochs": "Optimizer.lr.warmup_epoch",
    "decay_epochs": "Optimizer.lr.decay_epochs",
    "decay_rate": "Optimizer.lr.decay_rate",
}
# Flags of which several make one setting.
_COMBINED = frozenset(
    "image_shape step_epochs lr_strategy use_gpu fp16 use_fp16 scale_loss use_dynamic_loss_scaling "
    "use_mixup mixup_alpha use_label_smoothing label_smoothing_epsilon use_ema ema_decay use_aa "
    "lower_scale lower_ratio upper_ratio resize_short_size image_mean image_std".split()
)
_DEFAULTS: Mapping[str, Any] = {
    "model": "SE_ResNeXt50_32x4d",
    "num_epochs": 120,
    "batch_size": 256,
    "data_dir": "data/ILSVRC2012",
    "model_save_dir": "output",
    "lr_strategy": "piecewise_decay",
    "lr": 0.1,
    "l2_decay": 1e-4,
    "momentum_rate": 0.9,
    "lower_scale": 0.08,
    "mixup_alpha": 0.2,
    "label_smoothing_epsilon": 0.2,
    "ema_decay": 0.9999,
    "image_shape": "3,224,224",
}
_MEMORY = "obsolete: Paddle saves memory by itself; see train.micro_batch"
_PROFILER = "obsolete: not a setting of training"
_NETWORK = "hubtune has the official networks"
_LEFT_OUT: Mapping[str, str] = {
    "total_images": "obsolete: the lists say how many pictures there are",
    "class_dim": "obsolete: the lists say how many classes there are",
    "with_mem_opt": _MEMORY,
    "with_inplace": _MEMORY,
    "use_mem_opt": _MEMORY,
    "use_inplace": _MEMORY,
    "checkpoint": "hubtune finetune RECIPE --resume continues a run",
    "save_step": "a checkpoint is saved at the end of each epoch: see train.keep",
    "save_params": "a checkpoint is saved at the end of each epoch: see train.keep",
    "crop_size": "the crop is as large as the network's input",
    "interpolation": "pictures are resized as the module was pretrained",
    "reader_buf_size": "obsolete: pictures are loaded ahead",
    "test_batch_size": "results of evaluation do not depend on it",
    "validate": "the validation list is evaluated at the end of each epoch",
    "max_iter": "training is counted in epochs",
    "use_distill": "hubtune has no distillation",
    "use_dali": "obsolete: pictures are loaded in threads, data.workers",
    "is_profiler": _PROFILER,
    "profiler_path": _PROFILER,
    "enable_ce": _PROFILER,
    "same_feed": _PROFILER,
    "padding_type": _NETWORK,
    "use_se": _NETWORK,
    "drop_connect_rate": _NETWORK,
}
# Value of lr_strategy → name of PaddleClas, and how hubtune's schedule differs.
_STRATEGIES: Mapping[str, tuple[str, str | None]] = {
    "piecewise_decay": ("Piecewise", None),
    "cosine_decay": ("Cosine", "the rate falls with each step, not with each epoch"),
    "cosine_decay_warmup": (
        "CosineWarmup",
        "the cosine ends with the last step",
    ),
    "linear_decay": ("Linear", "the rate falls over all epochs; train.py reached 0 after the first"),
    "exponential_decay_warmup": ("ExponentialWarmup", None),
    "default_decay": ("Constant", None),
    "adam_decay": ("Constant", None),
    "cosine_decay_RMSProp": ("Cosine", "the rate falls with each step, not with each epoch"),
}
_OPTIMIZERS = {"exponential_decay_warmup": "RMSProp", "cosine_decay_RMSProp": "RMSProp", "adam_decay": "Adam"}


def translate_flags(arguments: Sequence[str]) -> Translation:
    """Translate arguments such as ``--model=ResNet50 --lr 0.1`` into a recipe; missing ones have defaults.

    Raises:
        UsageError: an argument is not a flag of ``train.py``, or has a wrong value.
        ModelError: a value has a wrong type, or hubtune does not have the network.
    """
    given = dict(_parse(arguments))
    flags = {**_DEFAULTS, **given}
    translation = translate_sections(_sections(flags), _SOURCE)
    for name in given.keys() & _LEFT_OUT.keys():
        translation.leave_out(f"--{name}", given[name], _LEFT_OUT[name])
    if difference := _STRATEGIES[flags["lr_strategy"]][1]:
        translation.leave_out("--lr_strategy", flags["lr_strategy"], difference)
    for name in ("model", "batch_size"):
        if name not in given:
            translation.leave_out(
                f"--{name}", "not given", f"{_DEFAULTS[name]}, train.py's own in version 1.4"
            )
    translation.left_out.sort(key=lambda entry: entry.key)
    return translation


def _parse(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield flags with their values: a list for several, as in ``--step_epochs 30 60 90``."""
    known = [*_KEYS, *_COMBINED, *_LEFT_OUT]
    words = [word for word in arguments if word.strip() and word != "\\"]
    while words:
        word = words.pop(0)
        name, is_assigned, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or name not in known:
            shown = escaped(shortened(word))
            raise UsageError(f"{shown} is not a flag of PaddleCV's train.py.{suggest(name, known)}")
        values = [text] if is_assigned else []
        while not is_assigned and words and not words[0].startswith("--"):
            values.append(words.pop(0))
        if not values:
            raise UsageError(f"--{name} has no value: write --{name}=VALUE")
        parsed = [_value(each) for each in values]
        yield name, parsed[0] if len(parsed) == 1 else parsed


def _value(text: str) -> Any:
    """Return the value of a text; ``distutils`` knew more words for true and false than YAML."""
    words = {"none": None, "yes": True, "on": True, "no": False, "off": False}
    return words.get(text.lower(), plain_value(text)) if text.lower() in words else plain_value(text)


def _sections(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags as a configuration of PaddleClas."""
    strategy = str(flags["lr_strategy"])
    if strategy not in _STRATEGIES:
        near = suggest(strategy, _STRATEGIES) or f" It may be {', '.join(_STRATEGIES)}"
        raise UsageError(f"There is no lr_strategy {escaped(shortened(strategy))}.{near}")
    data: dict[str, Any] = {}
    for name, key in _KEYS.items():
        if flags.get(name) is not None:
            _set(data, key, flags[name])
    boundaries = flags.get("step_epochs")
    if boundaries is not None and strategy == "piecewise_decay":
        _set(data, "Optimizer.lr.boundaries", boundaries if isinstance(boundaries, list) else [boundaries])
    folder = str(flags["data_dir"]).rstrip("/")
    for part in ("Train", "Eval"):
        name = {"Train": "train_list.txt", "Eval": "val_list.txt"}[part]
        _set(data, f"DataLoader.{part}.dataset.image_root", folder)
        _set(data, f"DataLoader.{part}.dataset.cls_label_path", f"{folder}/{name}")
    _set(data, "Optimizer.name", _OPTIMIZERS.get(strategy, "Momentum"))
    _set(data, "Optimizer.lr.name", _STRATEGIES[strategy][0])
    _set(data, "Optimizer.regularizer.name", "L2")
    if flags.get("use_gpu") in (False, 0):
        _set(data, "Global.device", "cpu")
    if flags.get("fp16") or flags.get("use_fp16"):
        _set(data, "AMP.use_amp", True)
        _set(data, "AMP.scale_loss", flags.get("scale_loss"))
        _set(data, "AMP.use_dynamic_loss_scaling", bool(flags.get("use_dynamic_loss_scaling")))
    if flags.get("use_ema"):
        _set(data, "EMA.decay", flags["ema_decay"])
    _add_loss_and_transforms(data, flags)
    return data


def _add_loss_and_transforms(data: dict[str, Any], flags: Mapping[str, Any]) -> None:
    smoothing = {"epsilon": flags["label_smoothing_epsilon"]} if flags.get("use_label_smoothing") else {}
    losses: list[dict[str, Any]] = [{"CELoss": smoothing}]
    if flags["model"] == "GoogLeNet":
        losses.append({"GoogLeNetLoss": {}})
    _set(data, "Loss.Train", losses)
    given = flags["image_shape"]
    shape = given if isinstance(given, list) else str(given).replace(" ", ",").split(",")
    side = str(shape[-1])
    if not (side.isascii() and side.isdecimal()):
        raise UsageError(f"image_shape must be like 3,224,224, not {escaped(shortened(str(given)))}")
    size = int(side)
    crop: dict[str, Any] = {"size": size, "scale": [flags["lower_scale"], 1.0]}
    if "lower_ratio" in flags and "upper_ratio" in flags:
        crop["ratio"] = [flags["lower_ratio"], flags["upper_ratio"]]
    train: list[dict[str, Any]] = [{"RandCropImage": crop}, {"RandFlipImage": {"flip_code": 1}}]
    if flags.get("use_aa"):
        train.append({"AutoAugment": {}})
    _set(data, "DataLoader.Train.dataset.transform_ops", train)
    if flags.get("use_mixup"):
        mixup = [{"MixupOperator": {"alpha": flags["mixup_alpha"]}}]
        _set(data, "DataLoader.Train.dataset.batch_transform_ops", mixup)
    resize = {"resize_short": flags["resize_short_size"]} if "resize_short_size" in flags else {}
    colours = {name: flags[f"image_{name}"] for name in ("mean", "std") if f"image_{name}" in flags}
    evaluation = [{"ResizeImage": resize}, {"CropImage": {"size": size}}, {"NormalizeImage": colours}]
    _set(data, "DataLoader.Eval.dataset.transform_ops", evaluation)


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for part in sections:
        data = data.setdefault(part, {})
    data[name] = value
