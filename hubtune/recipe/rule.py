"""One training rule as data, and the rules that the strategies write."""

import math
from collections.abc import Sequence

from pydantic import Field, model_validator

from hubtune.recipe.base import Settings


class Rule(Settings):
    """How the parameters that match a pattern are trained."""

    match: str = Field(examples=["head"])
    """Shell-style pattern, matched against a stage's name (`stem`, `stage1`, …, `head`) and against
    `<stage>/<parameter name>`; `*` matches everything."""
    dimensions: int | None = Field(None, ge=0, le=8)
    """Only parameters with this number of dimensions: `1` means biases and the scales of norms."""
    lr_mult: float = Field(1.0, ge=0)
    """Factor on the learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """L2 coefficient added to the gradient (coupled, as PaddleHub's L2Decay); with `adamw`, decoupled."""
    decoupled_decay: float = Field(0.0, ge=0)
    """Each step subtracts this share of a weight, times its rate (Loshchilov and Hutter, 2019)."""
    l2sp: float = Field(0.0, ge=0)
    """L2 coefficient of the distance to the value at the start of the run (Li et al., 2018)."""
    frozen: bool = False
    """Never trained; a layer whose parameters are all frozen runs in evaluation mode."""
    frozen_epochs: int = Field(0, ge=0)
    """Number of epochs at the start in which the parameters are frozen."""
    frozen_steps: int = Field(0, ge=0)
    """Number of steps at the start in which the parameters are frozen."""

    @model_validator(mode="after")
    def _check_freezing(self) -> "Rule":
        if sum((self.frozen, self.frozen_epochs > 0, self.frozen_steps > 0)) > 1:
            raise ValueError("frozen, frozen_epochs and frozen_steps exclude one another: keep one of them")
        return self


def rules_for(
    stages: Sequence[str],
    *,
    l2: float = 0.0,
    l2sp: float = 0.0,
    decoupled: float = 0.0,
    blocks: int = 0,
    factor: float = 1.0,
    unfreezing: int = 0,
) -> list[Rule]:
    """Write the rules of a strategy.

    Args:
        stages: the network's stages that have parameters, stem to head.
        l2: coupled L2 coefficient of all parameters.
        l2sp: coefficient of the distance to the pretrained values; the head has none.
        decoupled: decoupled decay of all parameters except biases and norms.
        blocks: number of groups of ⌈stages/blocks⌉ stages, counted from the head; 0: one group.
        factor: each group's rate is the rate of the group above it divided by this.
        unfreezing: in epoch e, counted from 1, the top ⌊stages·e/unfreezing⌋ stages and the head are
            trained; 0: all stages from the start.
    """
    by_stage = [*reversed(stages)] if blocks or unfreezing else []
    names = by_stage or (["head", "*"] if l2sp else ["*"])
    rules = []
    for depth, name in enumerate(names):
        rule = Rule(
            match=name,
            lr_mult=factor ** -(depth // math.ceil(len(names) / blocks)) if blocks else 1.0,
            frozen_epochs=math.ceil(unfreezing * (depth + 1) / len(names)) - 1 if unfreezing and depth else 0,
            weight_decay=l2,
            l2sp=0.0 if name == "head" else l2sp,
        )
        if decoupled:
            # The first match wins: this one excludes biases and norms from the decay below.
            rules.append(rule.model_copy(update={"dimensions": 1}))
        rules.append(rule.model_copy(update={"decoupled_decay": decoupled}))
    return rules
