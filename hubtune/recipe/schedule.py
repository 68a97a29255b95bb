"""How the learning rate changes while a run goes on, as data; `strategies/schedules` has the formulas."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hubtune.recipe.base import Settings

Warmup = Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=0)]


class _Schedule(Settings):
    warmup: Warmup = 0.0
    """The rate rises linearly from 0 over this share of all steps (below 1), or this many steps."""


class ConstantSchedule(_Schedule):
    """The rate stays as it is."""

    name: Literal["constant"] = "constant"


class LinearSchedule(_Schedule):
    """The rate falls linearly, so that it would be `end` after the last step."""

    name: Literal["linear"] = "linear"
    start_point: float = Field(0.0, ge=0, le=1)
    """Share of the steps before which the rate stays at its full value; PaddleHub's `start_point`."""
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class PolynomialSchedule(_Schedule):
    """The rate falls to `end` as (1 − s/T) to a power."""

    name: Literal["polynomial"] = "polynomial"
    power: float = Field(0.9, gt=0)
    """The power; 1 is `linear`."""
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class CosineSchedule(_Schedule):
    """The rate falls to `end` along half a cosine, which begins after the warmup."""

    name: Literal["cosine"] = "cosine"
    end: float = Field(0.0, ge=0)
    """Rate at the end."""


class NoamSchedule(_Schedule):
    """The rate rises over the warmup to its full value, and falls as 1/√s then."""

    name: Literal["noam"] = "noam"
    warmup: Warmup = 0.1
    """Share of all steps (below 1), or number of steps, over which the rate rises."""


class SlantedTriangleSchedule(Settings):
    """The rate rises from 1/`ratio` of its value over a first part of the steps, and falls back (ULMFiT)."""

    name: Literal["slanted_triangle"] = "slanted_triangle"
    cut_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which it rises."""
    ratio: float = Field(32, ge=1)
    """How much smaller the smallest rate is than the largest."""


class StepSchedule(_Schedule):
    """The rate is multiplied by `gamma` again and again."""

    name: Literal["step"] = "step"
    every: int = Field(ge=1, examples=[30])
    """After so many units each."""
    unit: Literal["epochs", "steps"] = "epochs"
    """What `every` counts."""
    gamma: float = Field(0.1, gt=0, le=1)
    """The factor."""


class PiecewiseSchedule(_Schedule):
    """The rate has a value for each part of the run."""

    name: Literal["piecewise"] = "piecewise"
    boundaries: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, examples=[[30, 60, 90]])
    """Where the parts end."""
    unit: Literal["epochs", "steps"] = "epochs"
    """What `boundaries` count."""
    factors: list[Annotated[float, Field(ge=0)]] = Field(examples=[[1, 0.1, 0.01, 0.001]])
    """Factor on the rate in each part: one more than there are boundaries."""

    @model_validator(mode="after")
    def _fits(self) -> "PiecewiseSchedule":
        if any(later <= earlier for earlier, later in pairwise(self.boundaries)):
            raise ValueError("boundaries are to rise")
        if len(self.factors) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries make {len(self.boundaries) + 1} parts, but there are "
                f"{len(self.factors)} factors"
            )
        return self


class ExponentialSchedule(_Schedule):
    """The rate is multiplied by `a` after every `b` training pictures (the PaddlePaddle book's decay)."""

    name: Literal["exponential"] = "exponential"
    a: float = Field(gt=0, le=1, examples=[0.1])
    """The factor."""
    b: int = Field(ge=1, examples=[5_000_000])
    """Pictures, counted over all epochs."""


class OneCycleSchedule(Settings):
    """The rate rises to its full value and falls to almost nothing, both along a cosine (Smith, 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(0.3, gt=0, lt=1)
    """Share of the steps in which it rises."""
    start_divisor: float = Field(25.0, ge=1)
    """How much smaller than the full rate the first is."""
    end_divisor: float = Field(1e4, ge=1)
    """How much smaller than the first rate the last is."""


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
    | OneCycleSchedule
)


def named(value: Any) -> Any:
    """A name alone is short for a mapping with that name."""
    return {"name": value} if isinstance(value, str) else value


class AutoSchedule(Settings):
    """As the strategy says."""

    name: Literal["auto"] = "auto"
