"""What a fine-tuning strategy is, as data: its settings and the rules it writes for the parameters.

A rule says how the parameters that it matches are trained. Freezing and unfreezing, layer-wise rates and all
kinds of weight decay are said with rules, in one ordered list where the first match wins (the idea of
google-research/big_vision). A strategy is a set of rules, an optimiser, a schedule and limits on gradients.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hubtune.recipe.base import Settings
from hubtune.recipe.schedule import (
    AnySchedule,
    ConstantSchedule,
    LinearSchedule,
    NoamSchedule,
    SlantedTriangleSchedule,
)
from hubtune.recipe.training import ClipSettings, OptimizerName


class Rule(Settings):
    """How the parameters matching a pattern are trained."""

    match: str = Field(examples=["head"])
    """Shell-style pattern, matched against a stage's name (`stem`, `stage1`, …, `head`) and against
    `<stage>/<parameter name>`; `*` matches everything."""
    dimensions: int | None = Field(None, ge=0, le=8)
    """Only parameters of so many dimensions: `1` is biases and the scales of norms."""
    lr_mult: float = Field(1.0, ge=0)
    """Factor on the learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """L2 coefficient added to the gradient (coupled, as PaddleHub's L2Decay); with `adamw`, decoupled."""
    decoupled_decay: float = Field(0.0, ge=0)
    """Share of a weight, times its rate, that each step takes off it (Loshchilov and Hutter, 2019)."""
    l2sp: float = Field(0.0, ge=0)
    """L2 coefficient of the distance to the value at the start of the run (Li et al., 2018)."""
    frozen: bool = False
    """Not trained at all; a layer whose parameters are all frozen runs in evaluation mode."""
    frozen_epochs: int = Field(0, ge=0)
    """Frozen in the first so many epochs."""
    frozen_steps: int = Field(0, ge=0)
    """Frozen in the first so many steps."""

    @model_validator(mode="after")
    def _says_once_when(self) -> "Rule":
        if sum((self.frozen, self.frozen_epochs > 0, self.frozen_steps > 0)) > 1:
            raise ValueError("frozen, frozen_epochs and frozen_steps exclude one another: keep one of them")
        return self


class _Strategy(Settings):
    """What strategies have in common."""

    name: str
    """Each has its own."""

    from_random: ClassVar[bool] = False
    """Whether training starts from random values, without pretrained weights."""


class _Trained(_Strategy):
    """What strategies have in common that train by gradients."""

    learning_rate: float | None = Field(None, gt=0)
    """PaddleHub's place for the rate; `train.learning_rate` says the same."""

    default_rate: ClassVar[float] = 1e-4
    train_keys: ClassVar[frozenset[str] | None] = None
    each_rule_matches: ClassVar[bool] = False
    """Whether a rule that matches no parameter is a mistake, as in a list that a person wrote."""

    def schedule(self) -> AnySchedule:
        """How the rate changes, where the recipe does not say."""
        return LinearSchedule()

    def optimizer(self) -> OptimizerName:
        """What makes the steps, where the recipe does not say."""
        return "adam"

    def clip(self) -> ClipSettings:
        """Limits on gradients, where the recipe does not say."""
        return ClipSettings()


class _PaddleHub(_Trained):
    """What PaddleHub's strategies have in common."""

    optimizer_name: OptimizerName = "adam"
    """PaddleHub's place for the optimiser; `train.optimizer` goes before it."""

    def optimizer(self) -> OptimizerName:
        """As PaddleHub is told."""
        return self.optimizer_name


class DefaultStrategy(_PaddleHub):
    """All parameters are trained by Adam at a constant rate, without regularisation."""

    name: Literal["default"] = "default"

    def schedule(self) -> AnySchedule:
        """The rate stays."""
        return ConstantSchedule()

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """One rule for everything."""
        return rules_for(stages)


class DefaultFinetuneStrategy(_PaddleHub):
    """All parameters are trained by Adam with L2 decay, at a rate that falls linearly to 0."""

    name: Literal["default_finetune"] = "default_finetune"
    regularization_coeff: float = Field(1e-3, ge=0)
    """L2 coefficient on all parameters."""

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """One rule for everything."""
        return rules_for(stages, l2=self.regularization_coeff)


class L2SPFinetuneStrategy(_PaddleHub):
    """All parameters are trained by Adam; a penalty draws those of the trunk to their pretrained values."""

    name: Literal["l2sp"] = "l2sp"
    regularization_coeff: float = Field(1e-3, ge=0)
    """L2 coefficient of the distance to the pretrained values."""

    def schedule(self) -> AnySchedule:
        """The rate stays."""
        return ConstantSchedule()

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """The head has no pretrained values."""
        return rules_for(stages, l2sp=self.regularization_coeff)


class AdamWeightDecayStrategy(_PaddleHub):
    """All parameters are trained by Adam with decoupled decay, warmup and clipping, as BERT is."""

    name: Literal["adam_weight_decay"] = "adam_weight_decay"
    lr_scheduler: Literal["linear_decay", "noam_decay"] = "linear_decay"
    """How the rate falls after the warmup."""
    warmup_proportion: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled decay of all but biases and norms."""

    def schedule(self) -> AnySchedule:
        """Warmup, then the decay that was asked for."""
        kind = LinearSchedule if self.lr_scheduler == "linear_decay" else NoamSchedule
        return kind(warmup=self.warmup_proportion)

    def clip(self) -> ClipSettings:
        """As BERT."""
        return ClipSettings(global_norm=1.0)

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """Biases and norms are not decayed."""
        return rules_for(stages, decoupled=self.weight_decay)


class ULMFiTStrategy(_PaddleHub):
    """A slanted triangle of rates, smaller ones for earlier stages, which also begin to be trained later.

    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018.
    """

    name: Literal["ulmfit"] = "ulmfit"
    cut_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    ratio: float = Field(32, ge=1)
    """How much smaller the smallest rate is than the largest."""
    dis_blocks: int = Field(3, ge=0)
    """Groups of stages with rates of their own; 0: one rate for all."""
    factor: float = Field(2.6, ge=1)
    """How much smaller the rate of a group is than that of the group above it."""
    frz_blocks: int = Field(3, ge=0)
    """Epochs until all stages are trained, from the head down; 0: all are from the start."""

    def schedule(self) -> AnySchedule:
        """The slanted triangle."""
        return SlantedTriangleSchedule(cut_fraction=self.cut_fraction, ratio=self.ratio)

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """One rule a stage."""
        return rules_for(stages, blocks=self.dis_blocks, factor=self.factor, unfreezing=self.frz_blocks)


class CombinedLinearDecay(Settings):
    """Of the combined strategy's scheduler."""

    start_point: float = Field(1.0, ge=0, le=1)
    """Share of the steps before which the rate stays; 1: it does not fall."""
    end_learning_rate: float = Field(0.0, ge=0)
    """Rate at the end."""


class CombinedDiscriminative(Settings):
    """Of the combined strategy's scheduler."""

    blocks: int = Field(0, ge=0)
    """Groups of stages with rates of their own; 0: one rate for all."""
    factor: float = Field(2.6, ge=1)
    """How much smaller the rate of a group is than that of the group above it."""


class CombinedTriangle(Settings):
    """Of the combined strategy's scheduler."""

    cut_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the steps in which the rate rises; 0: no triangle."""
    ratio: float = Field(32, ge=1)
    """How much smaller the smallest rate is than the largest."""


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
    """Epochs until all stages are trained, from the head down; 0: all are from the start."""
    slanted_triangle: CombinedTriangle = CombinedTriangle()
    """A slanted triangle, in place of warmup and falls."""


class CombinedRegularization(Settings):
    """Of the combined strategy: PaddleHub's dictionary `regularization`."""

    L2: float = Field(0.0, ge=0)
    """L2 coefficient on all parameters."""
    L2SP: float = Field(0.0, ge=0)
    """L2 coefficient of the distance to the pretrained values."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled decay of all but biases and norms."""


class CombinedClip(Settings):
    """Of the combined strategy: PaddleHub's dictionary `clip`."""

    GlobalNorm: float = Field(0.0, ge=0)
    """Largest common norm of all gradients; 0: any."""
    Norm: float = Field(0.0, ge=0)
    """Largest norm of a parameter's gradient; 0: any."""


class CombinedStrategy(_PaddleHub):
    """Any mix of PaddleHub's schedules, regularisation and clipping; without settings, that of `default`."""

    name: Literal["combined"] = "combined"
    scheduler: CombinedScheduler = CombinedScheduler()
    """How rates change."""
    regularization: CombinedRegularization = CombinedRegularization()
    """What is held small."""
    clipping: CombinedClip = Field(CombinedClip(), alias="clip")
    """Limits on gradients."""

    @field_validator("scheduler", "regularization", "clipping", mode="before")
    @classmethod
    def _nothing_given(cls, value: Any) -> Any:
        return {} if value is None else value  # PaddleHub's default

    @model_validator(mode="after")
    def _one_fall(self) -> "CombinedStrategy":
        if self.scheduler.noam_decay and self.scheduler.linear_decay.start_point < 1:
            raise ValueError("scheduler has both noam_decay and linear_decay: keep one of them")
        return self

    def schedule(self) -> AnySchedule:
        """The triangle before all others, as in PaddleHub."""
        given = self.scheduler
        if given.slanted_triangle.cut_fraction:
            return SlantedTriangleSchedule(**given.slanted_triangle.model_dump())
        if given.noam_decay:
            return NoamSchedule(warmup=given.warmup)
        decay = given.linear_decay
        if decay.start_point < 1:
            return LinearSchedule(
                warmup=given.warmup, start_point=decay.start_point, end=decay.end_learning_rate
            )
        return ConstantSchedule(warmup=given.warmup)

    def clip(self) -> ClipSettings:
        """As given."""
        return ClipSettings(global_norm=self.clipping.GlobalNorm or None, norm=self.clipping.Norm or None)

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """A rule a stage, where stages differ."""
        return rules_for(
            stages,
            l2=self.regularization.L2,
            l2sp=self.regularization.L2SP,
            decoupled=self.regularization.weight_decay,
            blocks=self.scheduler.discriminative.blocks,
            factor=self.scheduler.discriminative.factor,
            unfreezing=self.scheduler.gradual_unfreeze,
        )


class ScratchStrategy(_Trained):
    """All parameters are trained from random values by Adam, at a rate that falls linearly to 0."""

    name: Literal["scratch"] = "scratch"
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters."""

    default_rate: ClassVar[float] = 1e-3
    from_random: ClassVar[bool] = True

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """One rule for everything."""
        return rules_for(stages, l2=self.regularization_coeff)


class RulesStrategy(_Trained):
    """Adam with the user's own rules, at a rate that falls linearly to 0; a recipe gives the list itself."""

    name: Literal["rules"] = "rules"
    list_: list[Rule] = Field(alias="list", min_length=1, examples=[[{"match": "head"}]])
    """The rules in order; the first that matches a parameter decides."""

    each_rule_matches: ClassVar[bool] = True

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """The rules as given."""
        return self.list_


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
    """Write the rules of a preset.

    Args:
        stages: the network's stages that have parameters, stem to head.
        l2: coupled L2 coefficient of all parameters.
        l2sp: coefficient of the distance to the pretrained values; the head has none.
        decoupled: decoupled decay of all but biases and norms.
        blocks: groups of ⌈stages/blocks⌉ stages each, counted from the head; 0: one for all.
        factor: each group's rate is this much smaller than that of the group above it.
        unfreezing: in epoch e, counted from 1, the top ⌊stages·e/unfreezing⌋ stages are trained (and the head
            always); 0: all stages from the start.
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
            rules.append(rule.model_copy(update={"dimensions": 1}))
        rules.append(rule.model_copy(update={"decoupled_decay": decoupled}))
    return rules


class HeadSettings(_Strategy):
    """What strategies have in common that solve a head on frozen features."""

    folds: int = Field(5, ge=2, le=20)
    """Cross-validation folds that choose the views and the head's strength."""
    views: Literal["auto", 1, 2] = "auto"
    """How often a picture is looked at: `1`, the whole of it, at about as many pixels as the module was
    pretrained with; `2`, the whole of it, a little larger, and mirrored; `auto`: cross-validation chooses
    between this and the way the module was pretrained, as far as the budget allows. `data.fit` holds for
    all."""
    budget: float = Field(60, ge=0)
    """With `views: auto`, no views are taken that need more seconds than this for the training pictures."""


class FrozenStrategy(HeadSettings):
    """The pretrained trunk stays as it is; a logistic head is solved on its pooled features.

    How the pictures are looked at and the head's strength of regularisation are chosen by cross-validation on
    the training list. Epochs, batch order and learning rate play no part.
    """

    name: Literal["frozen"] = "frozen"

    train_keys: ClassVar[frozenset[str] | None] = frozenset(
        {"batch_size", "balance", "seed", "device", "engine"}
    )


class LastStageStrategy(HeadSettings, _Trained):
    """All before the network's last stage stays as it is; that stage and the head are trained by Adam.

    The head starts as `frozen` solves it, and that stays the best model unless another is better on the
    validation list by more than a standard error.
    """

    name: Literal["last_stage"] = "last_stage"
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters that are trained."""

    default_rate: ClassVar[float] = 1e-5
    train_keys: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("epochs", "batch_size", "micro_batch", "learning_rate", "optimizer", "schedule", "clip"),
            *("loss", "balance", "dropout", "ema", "average_best", "early_stopping", "eval_interval"),
            *("log_interval", "save_ckpt_interval", "batch_norm", "amp", "loss_scale", "seed", "device"),
            "engine",
        }
    )

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """The last stage before the head, and the head."""
        trained = [
            Rule(match=stage, weight_decay=self.regularization_coeff) for stage in (stages[-2], "head")
        ]
        return [*trained, Rule(match="*", frozen=True)]


class FromFrozenStrategy(HeadSettings, _Trained):
    """Starts as `frozen` ends, head and views included; then all parameters are trained by Adam.

    A head that fits first keeps the trunk's features from being spoiled (Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", 2022). What `frozen` gives stays the
    best model unless another is better on the validation list by more than a standard error.
    """

    name: Literal["from_frozen"] = "from_frozen"
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters."""

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        """One rule for everything."""
        return rules_for(stages, l2=self.regularization_coeff)


# Each strategy's `train_keys` says which keys of the recipe's train section it uses; None: all of them.
GradientStrategy = (
    DefaultFinetuneStrategy
    | DefaultStrategy
    | L2SPFinetuneStrategy
    | AdamWeightDecayStrategy
    | ULMFiTStrategy
    | CombinedStrategy
    | ScratchStrategy
    | RulesStrategy
)
SolvedStrategy = LastStageStrategy | FromFrozenStrategy
Strategy = Annotated[GradientStrategy | FrozenStrategy | SolvedStrategy, Field(discriminator="name")]
