"""PaddleHub's strategies, with the arguments that its versions had; hubtune's own strategies do the work."""

from collections.abc import Mapping
from typing import Any, ClassVar

import hubtune
from hubtune.errors import UsageError, suggest
from hubtune.log import logger
from hubtune.paddlehub.absent import PaddleHubObject
from hubtune.recipe.choices import OptimizerName
from hubtune.recipe.optimization import OptimizerSettings

# PaddleHub's name → hubtune's.
_OPTIMIZERS: dict[str, OptimizerName] = {
    "adam": "adam",
    "sgd": "sgd",
    "momentum": "momentum",
    "larsmomentum": "lars",
    "adagrad": "adagrad",
    "adamax": "adamax",
    "rmsprop": "rmsprop",
    # Of hubtune only.
    "adamw": "adamw",
    "lamb": "lamb",
    "lars": "lars",
}
_ABSENT_OPTIMIZERS = ("ftrl", "decayedadagrad", "dpsgd", "dgcmomentum", "adadelta")
# Argument of Paddle 1's optimizers → hubtune's setting.
_OPTIMIZER_ARGUMENTS = {
    "momentum": "momentum",
    "use_nesterov": "nesterov",
    "beta1": "beta1",
    "beta2": "beta2",
    "epsilon": "epsilon",
    "lars_coeff": "trust",
}
_PARAMS_LAYER = (
    "params_layer names the parameters of a program of Paddle 1, which hubtune has not: give a number of "
    "blocks, or a list of rules (hubtune.RulesStrategy)"
)


def _optimizer(name: str, arguments: Mapping[str, Any]) -> OptimizerSettings:
    lowered = str(name).lower()
    if lowered not in _OPTIMIZERS:
        reason = "is not in Paddle 3" if lowered in _ABSENT_OPTIMIZERS else "is unknown"
        near = "" if lowered in _ABSENT_OPTIMIZERS else suggest(lowered, _OPTIMIZERS)
        raise UsageError(f"The optimizer {name!r} {reason}: take one of {', '.join(_OPTIMIZERS)}.{near}")
    unknown = [argument for argument in arguments if argument not in _OPTIMIZER_ARGUMENTS]
    if unknown:
        raise UsageError(
            f"Strategies have no {unknown[0]!r}: of an optimizer, they take {', '.join(_OPTIMIZER_ARGUMENTS)}"
            f".{suggest(unknown[0], _OPTIMIZER_ARGUMENTS)}"
        )
    settings = {_OPTIMIZER_ARGUMENTS[argument]: value for argument, value in arguments.items()}
    # Through RunConfig, whose errors are sentences.
    return hubtune.RunConfig(optimizer={"name": _OPTIMIZERS[lowered], **settings}).optimizer


class DefaultStrategy(PaddleHubObject):
    """All parameters are trained by the optimizer at a constant rate, without regularisation.

    Attributes:
        optimizer: hubtune's settings of it.
    """

    absent: ClassVar[Mapping[str, str]] = {
        "execute": "give the strategy to hub.RunConfig(strategy=…), and call task.finetune_and_eval()",
        "step": "a task counts the epochs itself",
    }

    def __init__(self, learning_rate: float = 1e-4, optimizer_name: str = "adam", **kwargs: Any) -> None:
        """Choose the rate and the optimizer; ``kwargs`` are its arguments, as in PaddleHub 1.7.

        Raises:
            UsageError: if hubtune does not have the optimizer, or one of its arguments.
        """
        self.learning_rate = learning_rate
        self.optimizer = _optimizer(optimizer_name, kwargs)

    def recipe_settings(self) -> dict[str, Any]:
        """Return the strategy and the optimizer as arguments of :class:`hubtune.RunConfig`."""
        strategy = {"name": "default", "learning_rate": _as_float(self.learning_rate)}
        return {"strategy": strategy, "optimizer": self.optimizer}

    def __str__(self) -> str:
        return "DefaultStrategy"


class CombinedStrategy(DefaultStrategy):
    """Any mix of PaddleHub's schedules, regularisation and clipping.

    Attributes:
        scheduler, regularization, clip: PaddleHub's dictionaries, complete.
    """

    def __init__(
        self,
        optimizer_name: str = "adam",
        learning_rate: float = 1e-4,
        scheduler: Mapping[str, Any] | None = None,
        regularization: Mapping[str, Any] | None = None,
        clip: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Fill the dictionaries.

        Raises:
            UsageError: if a key is unknown, or a value has another type than PaddleHub's.
        """
        super().__init__(learning_rate, optimizer_name, **kwargs)
        self.scheduler: dict[str, Any] = {
            "warmup": 0.0,
            "linear_decay": {"start_point": 1.0, "end_learning_rate": 0.0},
            "noam_decay": False,
            "discriminative": {"blocks": 0, "params_layer": None, "factor": 2.6},
            "gradual_unfreeze": {"blocks": 0, "params_layer": None},
            "slanted_triangle": {"cut_fraction": 0.0, "ratio": 32},
        }
        self.regularization: dict[str, Any] = {"L2": 0.0, "L2SP": 0.0, "weight_decay": 0.0}
        self.clip: dict[str, Any] = {"GlobalNorm": 0.0, "Norm": 0.0}
        for name, value in (scheduler or {}).items():
            self.add_scheduler(name, value)
        for name, value in (regularization or {}).items():
            self.add_regularization(name, value)
        for name, value in (clip or {}).items():
            self.add_clip(name, value)

    def add_scheduler(self, name: str = "warmup", value: Any = 0, **values: Any) -> None:
        """Set a schedule, by a value or by its keys."""
        if name == "gradual_unfreeze" and isinstance(value, int) and not values:
            value = {"blocks": value}  # up to PaddleHub 1.4
        _assign("scheduler", self.scheduler, name, values or value)
        falls = self.scheduler["noam_decay"] and self.scheduler["linear_decay"]["start_point"] < 1
        if falls and name in ("noam_decay", "linear_decay"):
            logger.warning("noam_decay takes precedence over linear_decay")

    def add_regularization(self, name: str = "L2", value: Any = 1e-3, **values: Any) -> None:
        """Set a regularisation."""
        _assign("regularization", self.regularization, name, values or value)

    def add_clip(self, name: str = "GlobalNorm", value: Any = 1.0, **values: Any) -> None:
        """Set a limit on gradients."""
        _assign("clip", self.clip, name, values or value)

    def recipe_settings(self) -> dict[str, Any]:
        """Return the strategy and the optimizer as arguments of :class:`hubtune.RunConfig`.

        Of settings that exclude one another, one takes precedence as in PaddleHub.
        """
        scheduler = {**self.scheduler}
        if scheduler["noam_decay"]:
            scheduler["linear_decay"] = {}
        layered = (scheduler["discriminative"], scheduler["gradual_unfreeze"])
        if any(part["params_layer"] for part in layered):
            raise UsageError(_PARAMS_LAYER)
        scheduler["discriminative"] = {
            "blocks": layered[0]["blocks"],
            "factor": _as_float(layered[0]["factor"]),
        }
        scheduler["gradual_unfreeze"] = layered[1]["blocks"]
        clip = {"GlobalNorm": self.clip["GlobalNorm"]} if self.clip["GlobalNorm"] else self.clip
        strategy = {
            "name": "combined",
            "learning_rate": _as_float(self.learning_rate),
            "scheduler": scheduler,
            "regularization": self.regularization,
            "clip": clip,
        }
        return {"strategy": strategy, "optimizer": self.optimizer}

    def __str__(self) -> str:
        return (
            f"Strategy with scheduler: {self.scheduler}, regularization: {self.regularization} and clip: "
            f"{self.clip}"
        )


def recipe_settings(strategy: Any) -> dict[str, Any]:
    """Return a strategy of this module or of hubtune as arguments of :class:`hubtune.RunConfig`."""
    if isinstance(strategy, type):
        raise UsageError(
            f"strategy is the class {strategy.__name__}: give an object of it, {strategy.__name__}()"
        )
    own: dict[str, Any] | None = strategy.recipe_settings() if hasattr(strategy, "recipe_settings") else None
    return {"strategy": strategy} if own is None else own


def _as_float(value: Any) -> Any:
    """Return a whole number as a float, and anything else as it is, for the check of the settings."""
    return float(value) if type(value) is int else value


def _assign(place: str, settings: dict[str, Any], name: str, value: Any) -> None:
    """Set a key of one of PaddleHub's dictionaries, whose values show the types."""
    if name not in settings:
        raise UsageError(
            f"{place} has no {name!r}: it may be {', '.join(settings)}.{suggest(name, settings)}"
        )
    now = settings[name]
    if isinstance(now, dict) and isinstance(value, Mapping):
        for inner, part in value.items():
            _assign(f"{place}.{name}", now, inner, part)
    elif (
        now is None or (type(value) in (int, float) and type(now) in (int, float)) or type(value) is type(now)
    ):
        settings[name] = value
    else:
        kind = f"a dictionary with {', '.join(now)}" if isinstance(now, dict) else f"a {type(now).__name__}"
        raise UsageError(f"{place}.{name} must be {kind}, not {value!r}")


class AdamWeightDecayStrategy(CombinedStrategy):
    """Decoupled decay, warmup and clipping, like BERT."""

    def __init__(
        self,
        learning_rate: float = 1e-4,
        lr_scheduler: str = "linear_decay",
        warmup_proportion: float = 0.1,
        weight_decay: float = 0.01,
        optimizer_name: str = "adam",
        **kwargs: Any,
    ) -> None:
        """Choose the fall of the rate, ``linear_decay`` or ``noam_decay``, and the decay.

        Raises:
            UsageError: if there is no such fall.
        """
        fall: dict[str, Any]
        if lr_scheduler == "noam_decay":
            fall = {"noam_decay": True}
        elif lr_scheduler == "linear_decay":
            fall = {"linear_decay": {"start_point": warmup_proportion, "end_learning_rate": 0.0}}
        else:
            raise UsageError(f"lr_scheduler is {lr_scheduler!r}: it may be linear_decay or noam_decay")
        super().__init__(
            optimizer_name,
            learning_rate,
            {"warmup": warmup_proportion, **fall},
            {"weight_decay": weight_decay},
            {"GlobalNorm": 1.0},
            **kwargs,
        )


class _PenaltyStrategy(CombinedStrategy):
    """A penalty on the parameters, at a constant rate."""

    _penalty: ClassVar[str]

    def __init__(
        self,
        learning_rate: float = 1e-4,
        optimizer_name: str = "adam",
        regularization_coeff: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        """Choose the coefficient of the penalty."""
        penalty = {self._penalty: regularization_coeff}
        super().__init__(optimizer_name, learning_rate, regularization=penalty, **kwargs)


class L2SPFinetuneStrategy(_PenaltyStrategy):
    """A penalty draws the backbone's parameters to their pretrained values."""

    _penalty = "L2SP"


class DefaultFinetuneStrategy(_PenaltyStrategy):
    """L2 on all parameters, at a constant rate."""

    _penalty = "L2"


class ULMFiTStrategy(CombinedStrategy):
    """A slanted triangle of rates; earlier stages have smaller rates, and training reaches them later."""

    def __init__(
        self,
        learning_rate: float = 1e-4,
        optimizer_name: str = "adam",
        cut_fraction: float = 0.1,
        ratio: int = 32,
        dis_blocks: int = 3,
        factor: float = 2.6,
        dis_params_layer: Any = None,
        frz_blocks: int = 3,
        frz_params_layer: Any = None,
        params_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Choose the triangle and the blocks.

        Up to PaddleHub 1.6, the seventh argument was ``frz_blocks``, and ``params_layer`` the eighth.

        Raises:
            UsageError: if layers of parameters are given.
        """
        if isinstance(dis_params_layer, int):
            frz_blocks, dis_params_layer = dis_params_layer, None
        if dis_params_layer or frz_params_layer or params_layer:
            raise UsageError(_PARAMS_LAYER)
        scheduler = {
            "slanted_triangle": {"cut_fraction": cut_fraction, "ratio": ratio},
            "discriminative": {"blocks": dis_blocks, "factor": factor},
            "gradual_unfreeze": {"blocks": frz_blocks},
        }
        super().__init__(optimizer_name, learning_rate, scheduler, **kwargs)
