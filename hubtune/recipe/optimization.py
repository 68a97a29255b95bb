"""Optimizer, gradient clipping, loss and learning-rate schedules as data.

:mod:`hubtune.train.schedules` holds the schedules' formulas, :mod:`hubtune.train.optimizer` the optimizers.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hubtune.recipe.base import Settings
from hubtune.recipe.choices import OptimizerName

Warmup = Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=0)]
TimeUnit = Literal["epochs", "steps"]


def expand_name(value: Any) -> Any:
    """Turn a name into the mapping that it is short for; return anything else unchanged.

    Example:
        >>> expand_name("cosine")
        {'name': 'cosine'}
    """
    return {"name": value} if isinstance(value, str) else value


class OptimizerSettings(Settings):
    """What turns gradients into steps."""

    name: Literal["auto", OptimizerName] = "auto"
    """`auto`: the strategy's own (Adam, unless a strategy says otherwise); `adamw` is Adam that subtracts the
    rules' `weight_decay` from the weights themselves instead of adding it to the gradients; `adagrad`,
    `adamax` and `rmsprop` are those of PaddleHub."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of `momentum` and `lars`."""
    nesterov: bool = False
    """Of `momentum`."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Of `adam`, `adamw`, `lamb` and `adamax`: decay of the mean gradient."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Of `adam`, `adamw` and `lamb`: decay of the mean square; of `adamax`: of the largest gradient."""
    epsilon: float = Field(1e-8, gt=0)
    """Of `adam`, `adamw`, `lamb` and `adamax`: keeps divisors above 0. `adagrad` and `rmsprop` take
    1e-6, and `rmsprop` averages squares by 0.95, as in Paddle."""
    trust: float = Field(0.001, gt=0)
    """Of `lars`: size of a step as a share of the layer's norm. It applies to parameters with `weight_decay`;
    the others take plain steps with momentum, as in Paddle."""


class ClipSettings(Settings):
    """Limits on gradients, applied before regularisation is added."""

    global_norm: float | None = Field(None, gt=0)
    """Scale all gradients together so that their common norm is at most this."""
    norm: float | None = Field(None, gt=0)
    """Scale each parameter's gradient so that its norm is at most this."""
    value: float | None = Field(None, gt=0)
    """Clip each element to this size."""


class LossSettings(Settings):
    """The loss that training minimises."""

    name: Literal["cross_entropy", "focal", "bce"] = "cross_entropy"
    """`focal` gives less weight to pictures that are already classified well (Lin et al., 2017); `bce`,
    binary cross entropy, is that of multi-label lists, which take it in place of `cross_entropy`."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes; of `bce`, over having a label or not."""
    gamma: float = Field(2.0, ge=0)
    """Of `focal`: how strongly such pictures are weighted down."""
    auxiliary: float = Field(0.0, ge=0)
    """Weight of the loss of each auxiliary output of a network that has them. GoogLeNet has two, trained with
    0.3 (Szegedy et al., 2014); they take pictures of 224 pixels, and the model is without them."""


Optimizer = Annotated[OptimizerSettings, BeforeValidator(expand_name)]
Loss = Annotated[LossSettings, BeforeValidator(expand_name)]


class _Schedule(Settings):
    warmup: Warmup = 0.0
    """The rate rises linearly from 0 over this share of all steps (below 1), or this number of steps."""


class ConstantSchedule(_Schedule):
    """The rate stays constant."""

    name: Literal["constant"] = "constant"


class LinearSchedule(_Schedule):
    """The rate falls linearly, and would reach `end` one step after the last."""

    name: Literal["linear"] = "linear"
    start_point: float = Field(0.0, ge=0, le=1)
    """Share of the steps before which the rate stays at its full value; PaddleHub's `start_point`."""
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class PolynomialSchedule(_Schedule):
    """The rate falls to `end` as a power of (1 − s/T)."""

    name: Literal["polynomial"] = "polynomial"
    power: float = Field(0.9, gt=0)
    """The exponent; 1 is the same as `linear`."""
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class CosineSchedule(_Schedule):
    """The rate falls to `end` along half a cosine, which starts after the warmup."""

    name: Literal["cosine"] = "cosine"
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class NoamSchedule(_Schedule):
    """The rate rises to its full value during the warmup, then falls as 1/√s."""

    name: Literal["noam"] = "noam"
    warmup: Warmup = 0.1
    """Share of all steps (below 1), or number of steps, over which the rate rises."""


class SlantedTriangleSchedule(Settings):
    """The rate rises from 1/`ratio` of its value over the first steps, then falls back (ULMFiT)."""

    name: Literal["slanted_triangle"] = "slanted_triangle"
    cut_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    ratio: float = Field(32, ge=1)
    """Largest rate divided by the smallest."""


class StepSchedule(_Schedule):
    """The rate is multiplied by `gamma` at regular intervals."""

    name: Literal["step"] = "step"
    every: int = Field(ge=1, examples=[30])
    """Length of an interval."""
    unit: TimeUnit = "epochs"
    """Unit of `every`."""
    gamma: float = Field(0.1, gt=0, le=1)
    """The factor."""


class PiecewiseSchedule(_Schedule):
    """The rate is constant in each part of the run."""

    name: Literal["piecewise"] = "piecewise"
    boundaries: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, examples=[[30, 60, 90]])
    """Where the parts end."""
    unit: TimeUnit = "epochs"
    """Unit of `boundaries`."""
    factors: list[Annotated[float, Field(ge=0)]] = Field(examples=[[1, 0.1, 0.01, 0.001]])
    """Factor on the rate in each part: one more than there are boundaries."""

    @model_validator(mode="after")
    def _check_parts(self) -> "PiecewiseSchedule":
        if any(later <= earlier for earlier, later in pairwise(self.boundaries)):
            raise ValueError("boundaries must increase")
        count = len(self.boundaries)
        if len(self.factors) != count + 1:
            raise ValueError(
                f"{count} boundaries make {count + 1} parts, but there are {len(self.factors)} factors"
            )
        return self


class ExponentialSchedule(_Schedule):
    """The rate is multiplied by `a` after every `b` training pictures (the PaddlePaddle book's decay)."""

    name: Literal["exponential"] = "exponential"
    a: float = Field(gt=0, le=1, examples=[0.1])
    """The factor."""
    b: int = Field(ge=1, examples=[5_000_000])
    """Pictures, counted over all epochs."""


class ExponentialWarmupSchedule(Settings):
    """The rate rises over the first epochs, then falls by `decay_rate` every `decay_epochs` (PaddleClas)."""

    name: Literal["exponential_decay_warmup"] = "exponential_decay_warmup"
    warmup_epochs: float = Field(5.0, ge=0)
    """Epochs in which the rate rises linearly from 0."""
    decay_epochs: float = Field(2.4, gt=0)
    """Epochs between two factors, counted after the warmup."""
    decay_rate: float = Field(0.97, gt=0, le=1)
    """The factor."""


class OneCycleSchedule(Settings):
    """The rate rises to its full value and falls to almost zero, both along a cosine (Smith, 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(0.3, gt=0, lt=1)
    """Share of the steps in which the rate rises."""
    start_divisor: float = Field(25.0, ge=1)
    """Full rate divided by the first rate."""
    end_divisor: float = Field(1e4, ge=1)
    """First rate divided by the last rate."""


class AutoSchedule(Settings):
    """The strategy's own schedule."""

    name: Literal["auto"] = "auto"


AnySchedule = (
    ConstantSchedule
    | LinearSchedule
    | PolynomialSchedule
    | CosineSchedule
    | NoamSchedule
    | SlantedTriangleSchedule
    | StepSchedule
    | PiecewiseSchedule
    | ExponentialSchedule
    | ExponentialWarmupSchedule
    | OneCycleSchedule
)
Schedule = Annotated[
    Annotated[AnySchedule | AutoSchedule, Field(discriminator="name")], BeforeValidator(expand_name)
]
