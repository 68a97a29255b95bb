"""What a step of training consists of, as data: optimiser, clipping and loss."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hubtune.recipe.base import Settings
from hubtune.recipe.schedule import named

OptimizerName = Literal["adam", "adamw", "momentum", "sgd", "lamb", "lars"]


class OptimizerSettings(Settings):
    """What makes steps of gradients."""

    name: Literal["auto", "adam", "adamw", "momentum", "sgd", "lamb", "lars"] = "auto"
    """`auto`: the strategy's own (Adam, but for a strategy that says otherwise); `adamw` is Adam that takes
    the rules' `weight_decay` off the weights themselves, not into the gradients."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of `momentum` and `lars`."""
    nesterov: bool = False
    """Of `momentum`."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Of `adam`, `adamw` and `lamb`: decay of the mean gradient."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Of `adam`, `adamw` and `lamb`: decay of the mean square."""
    epsilon: float = Field(1e-8, gt=0)
    """Of `adam`, `adamw` and `lamb`: added to the root of the mean square."""
    trust: float = Field(0.001, gt=0)
    """Of `lars`: share of a layer's norm that a step may have. Only parameters with `weight_decay` are fitted
    so; the others take plain steps with momentum, as in Paddle."""


class ClipSettings(Settings):
    """Limits on gradients, before regularisation is added."""

    global_norm: float | None = Field(None, gt=0)
    """All gradients are scaled down together until their common norm is no larger."""
    norm: float | None = Field(None, gt=0)
    """Each parameter's gradient is scaled down until its norm is no larger."""
    value: float | None = Field(None, gt=0)
    """Each number is cut to this size."""


class LossSettings(Settings):
    """What is minimised."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    """`focal` gives pictures that are classified well less weight (Lin et al., 2017)."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes."""
    gamma: float = Field(2.0, ge=0)
    """Of `focal`: how much less."""


Optimizer = Annotated[OptimizerSettings, BeforeValidator(named)]
Loss = Annotated[LossSettings, BeforeValidator(named)]
