"""Checks that the settings of a run, its module and its data go together, before anything is read."""

from hubtune.errors import UsageError
from hubtune.hub.module import Module
from hubtune.inference.engine_interface import INT8_ENGINE
from hubtune.recipe.schema import RunConfig
from hubtune.train.context import RunData
from hubtune.train.strategies import TRAINERS


def check_compatibility(config: RunConfig, module: Module, *, has_validation: bool) -> None:
    """Check settings against a module; ``has_validation`` tells whether there is a validation list.

    Raises:
        UsageError: they do not go together; the message says what to change.
    """
    _check_strategy(config, module, has_validation)
    if config.loss.auxiliary:
        _check_auxiliary_outputs(config, module)
    module.preprocessing_for(config)
    if config.size is not None:
        module.check_size(config.size)


def settle_loss(config: RunConfig, data: RunData) -> RunConfig:
    """Return the configuration with the loss and the balance of the data, multi-label or not.

    Raises:
        UsageError: it asks for others.
    """
    loss, head = config.loss, getattr(config.strategy, "head", None)
    if data.label_sets is None:
        if loss.name == "bce":
            raise UsageError(
                "train.loss: bce is for multi-label lists, and these have one class a picture: remove it, or "
                "say -o data.labels_are=multi-label"
            )
        return config
    if loss.name == "focal":
        raise UsageError("train.loss: focal is for one class a picture: multi-label lists take bce")
    if config.balance not in ("auto", "none"):
        raise UsageError(
            f"train.balance: {config.balance} counts classes, and these lists are multi-label: take none"
        )
    if head == "logistic":
        raise UsageError("strategy.head: logistic is for one class a picture: multi-label lists take ridge")
    if config.engine == INT8_ENGINE:
        raise UsageError(f"The engine {INT8_ENGINE} is for one class a picture: take openvino")
    return config.model_copy(update={"loss": loss.model_copy(update={"name": "bce"}), "balance": "none"})


def _check_strategy(config: RunConfig, module: Module, has_validation: bool) -> None:
    name = config.strategy.name
    trainer = TRAINERS[name]
    if trainer.start == "random" and module.weights is not None:
        raise UsageError(f"Strategy {name} starts from random values: make the Module with weights=None")
    if trainer.start == "solved_head" and config.hidden_units:
        raise UsageError(f"Strategy {name} solves a linear head: remove hidden_units")
    if trainer.needs_validation and not has_validation:
        raise UsageError(
            f"Strategy {name} needs a validation list, on which it is compared with frozen: "
            "hubtune split PICTURES --val 20, or take strategy frozen"
        )
    if len(module.stages) < trainer.min_stages:
        raise UsageError(f"{module.name} has a single stage: take strategy frozen or default_finetune")


def _check_auxiliary_outputs(config: RunConfig, module: Module) -> None:
    trainer, size = TRAINERS[config.strategy.name], module.backbone.input_size
    if module.backbone.auxiliary is None:
        raise UsageError(f"{module.name} has no auxiliary outputs: remove train.loss.auxiliary")
    if not (trainer.by_gradients and trainer.sees_augmented):
        raise UsageError(
            f"Strategy {config.strategy.name} does not train the network before its last stage: remove "
            "train.loss.auxiliary, or take another strategy"
        )
    if config.size not in (None, size):
        raise UsageError(
            f"The auxiliary outputs of {module.name} take pictures of {size} pixels: remove "
            "train.loss.auxiliary or data.size"
        )
