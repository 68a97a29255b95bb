"""The three dictionaries of PaddleHub's ``CombinedStrategy`` as settings."""

from pydantic import Field

from hubtune.recipe import optimization
from hubtune.recipe.base import Settings


class CombinedLinearDecay(Settings):
    """Of the combined strategy's scheduler."""

    start_point: float = Field(1.0, ge=0, le=1)
    """Share of the steps before which the rate stays constant; 1: it never falls."""
    end_learning_rate: float = Field(0.0, ge=0)
    """Rate at the end."""


class CombinedDiscriminative(Settings):
    """Of the combined strategy's scheduler."""

    blocks: int = Field(0, ge=0)
    """Number of groups of stages with their own rates; 0: one rate for all."""
    factor: float = Field(2.6, ge=1)
    """Rate of a group divided by the rate of the group below it."""


class CombinedTriangle(Settings):
    """Of the combined strategy's scheduler."""

    cut_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the steps in which the rate rises; 0: no triangle."""
    ratio: float = Field(32, ge=1)
    """Largest rate divided by the smallest."""


class CombinedScheduler(Settings):
    """Of the combined strategy: PaddleHub's dictionary `scheduler`."""

    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0."""
    linear_decay: CombinedLinearDecay = CombinedLinearDecay()
    """A linear fall."""
    noam_decay: bool = False
    """A fall as 1/√s after the warmup."""
    discriminative: CombinedDiscriminative = CombinedDiscriminative()
    """Smaller rates for earlier stages."""
    gradual_unfreeze: int = Field(0, ge=0)
    """Number of epochs until all stages are trained, from the head down; 0: all from the start."""
    slanted_triangle: CombinedTriangle = CombinedTriangle()
    """A slanted triangle, which replaces warmup and falls."""

    def schedule(self) -> optimization.AnySchedule:
        """Return the schedule; as in PaddleHub, a triangle takes precedence over everything else."""
        if self.slanted_triangle.cut_fraction:
            return optimization.SlantedTriangleSchedule(**self.slanted_triangle.model_dump())
        if self.noam_decay:
            return optimization.NoamSchedule(warmup=self.warmup)
        decay = self.linear_decay
        if decay.start_point < 1:
            return optimization.LinearSchedule(
                warmup=self.warmup, start_point=decay.start_point, end=decay.end_learning_rate
            )
        return optimization.ConstantSchedule(warmup=self.warmup)


class CombinedRegularization(Settings):
    """Of the combined strategy: PaddleHub's dictionary `regularization`."""

    L2: float = Field(0.0, ge=0)
    """L2 coefficient on all parameters."""
    L2SP: float = Field(0.0, ge=0)
    """L2 coefficient of the distance to the pretrained values."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled decay of all parameters except biases and norms."""


class CombinedClip(Settings):
    """Of the combined strategy: PaddleHub's dictionary `clip`."""

    GlobalNorm: float = Field(0.0, ge=0)
    """Largest common norm of all gradients; 0: no limit."""
    Norm: float = Field(0.0, ge=0)
    """Largest norm of a parameter's gradient; 0: no limit."""

    def clip(self) -> optimization.ClipSettings:
        return optimization.ClipSettings(global_norm=self.GlobalNorm or None, norm=self.Norm or None)
