"""Translates PaddleClas's losses of several labels per picture into binary cross entropy."""

from typing import Any

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_file import operations_of
from hubtune.compat.translation import Translation

_KNOWN = ("MultiLabelLoss", "DistillationMultiLabelLoss")
# Optimizers whose steps are as large as the gradients, and those that decay weights apart from the gradients.
_IN_PROPORTION = ("momentum", "sgd")
_DECAY_APART = ("adamw", "lamb", "lars")


def translate_label_loss(values: ConfigValues, translation: Translation, labels: Any) -> None:
    """Set ``train.loss``, and adapt the rate and the decay to a loss that is a mean over the labels.

    ``labels`` is their number, if the configuration says it. The optimizer has been translated before.
    """
    loss: dict[str, Any] = {"name": "bce"}
    translation.recipe["train"]["loss"] = loss
    for name, settings in operations_of(values.take("Loss.Train", [])):
        key = f"Loss.Train.{name}"
        if name == "GoogLeNetLoss":
            loss["auxiliary"] = 0.3
        elif name not in _KNOWN:
            translation.leave_out(key, settings, "the loss is binary cross entropy with the labels")
        else:
            _translate_settings(key, settings, loss, translation)
            if settings.get("size_sum"):
                _follow_sum(f"{key}.size_sum", labels, translation)


def _translate_settings(
    key: str, settings: dict[str, Any], loss: dict[str, Any], translation: Translation
) -> None:
    epsilon = settings.get("epsilon")
    # PaddleClas takes no other value either.
    if epsilon is not None and 0 < epsilon < 1:
        loss["label_smoothing"] = float(epsilon)
        reason = (
            "half of it is the target of a label that a picture does not have; PaddleClas divides it by the "
            "number of labels"
        )
        translation.leave_out(f"{key}.epsilon", epsilon, reason)
    if settings.get("weight_ratio"):
        reason = (
            "each value of each label has the same weight; PaddleClas gives the rarer of having a label or "
            "not up to 2.7 times as much"
        )
        translation.leave_out(f"{key}.weight_ratio", True, reason)
    known = ("weight", "epsilon", "weight_ratio", "size_sum", "model_names", "name")
    for other, value in settings.items():
        if other not in known and value is not None:
            translation.leave_out(f"{key}.{other}", value, "hubtune has no such setting")


def _follow_sum(key: str, labels: Any, translation: Translation) -> None:
    """Adapt the training to gradients that are smaller by the number of labels than those of a sum over them.

    Steps of momentum and SGD stay the same: the rate is that number of times higher, and the decay of weights
    and the limit of gradients as much lower. Steps of Adam do not depend on the size of gradients.
    """
    if isinstance(labels, bool) or not isinstance(labels, int) or labels < 2:
        reason = "the loss is the mean over the labels: multiply train.learning_rate by their number"
        translation.leave_out(key, True, reason)
        return
    train, strategy = translation.recipe["train"], translation.recipe["strategy"]
    optimizer = train.get("optimizer", {}).get("name")
    changed = []
    if optimizer in _IN_PROPORTION and "learning_rate" in train:
        train["learning_rate"] = _short(train["learning_rate"] * labels)
        if "end" in train["schedule"]:
            train["schedule"]["end"] = _short(train["schedule"]["end"] * labels)
        changed.append(f"train.learning_rate is {labels} times the configuration's")
    if optimizer is not None and optimizer not in _DECAY_APART:
        for place in (strategy, *strategy.get("list", [])):
            for name in ("regularization_coeff", "weight_decay"):
                if place.get(name):
                    place[name] = _short(place[name] / labels)
                    changed.append(f"{name} 1/{labels} of it")
    if "clip" in train:
        train["clip"]["global_norm"] = _short(train["clip"]["global_norm"] / labels)
        changed.append(f"train.clip 1/{labels} of it")
    same = f", so {', '.join(changed)}, for the same steps" if changed else ""
    translation.leave_out(key, True, f"the loss is the mean over the {labels} labels, not the sum{same}")


def _short(number: float) -> float:
    return float(f"{number:.6g}")
