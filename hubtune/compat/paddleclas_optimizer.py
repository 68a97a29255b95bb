"""Translates PaddleClas's optimizers, rates and regularisation into a recipe's strategy and training."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.translation import Translation
from hubtune.recipe.choices import OptimizerName

_RATE = "Optimizer.lr"
_OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
_MOMENTS = ("momentum", "beta1", "beta2", "epsilon")
# Optimizers whose settings are Paddle's own → those of them that can be set.
_PADDLES: Mapping[str, tuple[str, ...]] = {"rmsprop": (), "adagrad": ()}

Settings = dict[str, Any]


def translate_optimizer(values: ConfigValues, translation: Translation) -> None:
    """Set ``strategy``, and ``optimizer``, ``learning_rate``, ``schedule`` and ``clip`` of ``train``.

    Raises:
        ModelError: a value has a wrong type.
    """
    train = translation.recipe["train"]
    name = (values.text("Optimizer.name") or "Momentum").lower()
    optimizer: Settings = {"name": name}
    if name not in _OPTIMIZERS:
        reason = f"hubtune has {', '.join(_OPTIMIZERS)}: the strategy's own is taken"
        translation.leave_out("Optimizer.name", name, reason)
        optimizer = {}
    for key in _MOMENTS:
        if (number := values.number(f"Optimizer.{key}")) is None or not optimizer:
            continue
        if name in _PADDLES and key not in _PADDLES[name]:
            translation.leave_out(f"Optimizer.{key}", number, f"hubtune's {name} has Paddle's own")
        else:
            optimizer[key] = float(number)
    if values.take("Optimizer.use_nesterov") is True:
        optimizer["nesterov"] = True
    if optimizer:
        train["optimizer"] = optimizer
    if (limit := values.number("Optimizer.clip_norm")) is not None:
        train["clip"] = {"global_norm": float(limit)}
    _translate_decay(values, translation, name)
    _translate_rate(values, translation)


def _translate_decay(values: ConfigValues, translation: Translation, optimizer: str) -> None:
    kind, coefficient = (
        values.text("Optimizer.regularizer.name"),
        values.number("Optimizer.regularizer.coeff"),
    )
    if kind not in (None, "L2"):
        translation.leave_out("Optimizer.regularizer.name", kind, "hubtune has L2")
        coefficient = None
    if (decay := values.number("Optimizer.weight_decay")) is not None:
        coefficient = decay
    undecayed = (values.text("Optimizer.no_weight_decay_name") or "").split()
    apart = values.take("Optimizer.one_dim_param_no_weight_decay") is True or bool(undecayed)
    if others := [name for name in undecayed if name.strip(".") not in ("bias", "norm")]:
        reason = "biases and norms are without decay; everything else has it"
        translation.leave_out("Optimizer.no_weight_decay_name", " ".join(others), reason)
    if apart and coefficient:
        # The first match decides: biases and the scales of norms have one dimension.
        translation.recipe["strategy"] = {
            "name": "rules",
            "list": [{"match": "*", "dimensions": 1}, {"match": "*", "weight_decay": float(coefficient)}],
        }
        return
    name = "scratch" if translation.recipe["module"]["weights"] == "none" else "default_finetune"
    translation.recipe["strategy"] = {"name": name, "regularization_coeff": float(coefficient or 0)}


def _translate_rate(values: ConfigValues, translation: Translation) -> None:
    train = translation.recipe["train"]
    name = values.text(f"{_RATE}.name") or "Constant"
    if name not in _SCHEDULES:
        translation.leave_out(
            f"{_RATE}.name", name, f"hubtune has {', '.join(_SCHEDULES)}: the rate is constant"
        )
        name = "Constant"
    epochs = values.number("Global.epochs") or 120
    warmup = values.number(f"{_RATE}.warmup_epoch") or (5 if name in _WARM else 0)
    schedule = _SCHEDULES[name](values, translation)
    if schedule["name"] == "exponential_decay_warmup":
        schedule["warmup_epochs"] = float(warmup)
    elif 0 < warmup < epochs:
        schedule["warmup"] = warmup / epochs
    elif warmup:
        translation.leave_out(f"{_RATE}.warmup_epoch", warmup, "all epochs would be the warmup")
    rate = values.number(f"{_RATE}.learning_rate")
    if rate is not None:
        train["learning_rate"] = float(rate)
    train["schedule"] = schedule
    if values.number(f"{_RATE}.warmup_start_lr"):
        start = values.number(f"{_RATE}.warmup_start_lr")
        translation.leave_out(f"{_RATE}.warmup_start_lr", start, "the warmup starts at 0")
    if values.take(f"{_RATE}.by_epoch") is True:
        translation.leave_out(f"{_RATE}.by_epoch", True, "the rate changes with each step")
    for key in ("last_epoch", "verbose", "epochs", "step_each_epoch"):
        values.take(f"{_RATE}.{key}")


def _cosine(values: ConfigValues, translation: Translation) -> Settings:
    end = values.number(f"{_RATE}.eta_min")
    return {"name": "cosine", "end": float(end)} if end else {"name": "cosine"}


def _linear(values: ConfigValues, translation: Translation) -> Settings:
    power, end = values.number(f"{_RATE}.power"), values.number(f"{_RATE}.end_lr")
    schedule = {"name": "polynomial", "power": float(1 if power is None else power)}
    return {**schedule, "end": float(end)} if end else schedule


def _step(values: ConfigValues, translation: Translation) -> Settings:
    every, gamma = values.count(f"{_RATE}.step_size"), values.number(f"{_RATE}.gamma")
    return {"name": "step", "every": every or 30, "gamma": float(gamma or 0.1)}


def _piecewise(values: ConfigValues, translation: Translation) -> Settings:
    names = ("decay_epochs", "boundaries", "milestones")
    boundaries = next((ends for name in names if (ends := _numbers(values, f"{_RATE}.{name}"))), [30, 60, 90])
    rates, gamma = _numbers(values, f"{_RATE}.values"), values.number(f"{_RATE}.gamma")
    factor = 0.1 if gamma is None else gamma
    factors = [rate / rates[0] for rate in rates] if rates and rates[0] else []
    if rates:
        translation.recipe["train"]["learning_rate"] = float(rates[0])
    return {
        "name": "piecewise",
        "boundaries": [int(end) for end in boundaries],
        "factors": [round(each, 12) for each in factors]
        or [round(factor**part, 12) for part in range(len(boundaries) + 1)],
    }


def _exponential(values: ConfigValues, translation: Translation) -> Settings:
    schedule: Settings = {"name": "exponential_decay_warmup"}
    for key in ("decay_epochs", "decay_rate"):
        if (number := values.number(f"{_RATE}.{key}")) is not None:
            schedule[key] = float(number)
    return schedule


def _numbers(values: ConfigValues, key: str) -> list[float]:
    given = values.take(key, [])
    if not isinstance(given, list):
        raise values.mistake(key, given, "a list of numbers")
    numbers = []
    for place, each in enumerate(given):
        if (number := values.number(f"{key}.{place}")) is None:
            raise values.mistake(f"{key}.{place}", each, "a number")
        numbers.append(number)
    return numbers


_SCHEDULES: Mapping[str, Callable[[ConfigValues, Translation], Settings]] = {
    "Cosine": _cosine,
    "CosineWarmup": _cosine,
    "Linear": _linear,
    "Step": _step,
    "Piecewise": _piecewise,
    "MultiStepDecay": _piecewise,
    "ExponentialWarmup": _exponential,
    "Constant": lambda values, translation: {"name": "constant"},
    "ConstLR": lambda values, translation: {"name": "constant"},
}
_WARM = ("CosineWarmup", "ExponentialWarmup")  # have five epochs of warmup by default
