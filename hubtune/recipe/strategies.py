"""Fine-tuning strategies as data: their settings, and the rules that they write for the parameters.

A rule says how the parameters that match a pattern are trained. Rules express freezing and unfreezing,
layer-wise rates and every kind of weight decay, in one ordered list where the first match wins (the idea of
google-research/big_vision). A strategy is a set of rules, an optimizer, a schedule and limits on gradients.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hubtune.recipe import optimization
from hubtune.recipe.base import Settings
from hubtune.recipe.choices import OptimizerName
from hubtune.recipe.combined import CombinedClip, CombinedRegularization, CombinedScheduler
from hubtune.recipe.rule import Rule, rules_for


class _Strategy(Settings):
    name: str
    """Each has its own."""

    # Whether training starts from random values, without pretrained weights.
    from_random: ClassVar[bool] = False
    # Whether a rule that matches no parameter is a mistake, as in a list that a person wrote.
    each_rule_matches: ClassVar[bool] = False
    # Whether its whole network may be in int8, because nothing but a head is found.
    may_be_int8: ClassVar[bool] = False
    # Keys of the recipe's train section that the strategy uses; None: all of them.
    train_keys: ClassVar[frozenset[str] | None] = None

    def engine_problem(self, engine: str) -> str | None:
        """Return why an engine cannot run the network; ``None`` if it can."""
        if engine != "openvino-int8" or self.may_be_int8:
            return None
        return (
            f"engine openvino-int8 runs a backbone that stays frozen, and strategy {self.name} trains it: "
            "take strategy frozen, or engine auto"
        )

    def unused_settings(self) -> list[str]:
        """Return the strategy's own settings that were given but have no effect."""
        return []


class _Trained(_Strategy):
    """Base of the strategies that train by gradient descent.

    ``rules`` returns the rules for a network's stages, in order. ``schedule``, ``optimizer`` and ``clip``
    return what applies where the recipe does not say otherwise.
    """

    learning_rate: float | None = Field(None, gt=0)
    """PaddleHub's place for the rate; `train.learning_rate` means the same."""

    default_rate: ClassVar[float] = 1e-4

    def schedule(self) -> optimization.AnySchedule:
        return optimization.LinearSchedule()

    def optimizer(self) -> OptimizerName:
        return "adam"

    def clip(self) -> optimization.ClipSettings:
        return optimization.ClipSettings()


class _PaddleHub(_Trained):
    optimizer_name: OptimizerName = "adam"
    """PaddleHub's place for the optimiser; `train.optimizer` takes precedence."""

    def optimizer(self) -> OptimizerName:
        return self.optimizer_name


class DefaultStrategy(_PaddleHub):
    """All parameters are trained by Adam at a constant rate, without regularisation."""

    name: Literal["default"] = "default"

    def schedule(self) -> optimization.AnySchedule:
        return optimization.ConstantSchedule()

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages)


class DefaultFinetuneStrategy(_PaddleHub):
    """All parameters are trained by Adam with L2 decay, at a rate that falls linearly to 0."""

    name: Literal["default_finetune"] = "default_finetune"
    regularization_coeff: float = Field(1e-3, ge=0)
    """L2 coefficient on all parameters."""

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages, l2=self.regularization_coeff)


class L2SPFinetuneStrategy(_PaddleHub):
    """All parameters are trained by Adam; a penalty draws the backbone's to their pretrained values."""

    name: Literal["l2sp"] = "l2sp"
    regularization_coeff: float = Field(1e-3, ge=0)
    """L2 coefficient of the distance to the pretrained values."""

    def schedule(self) -> optimization.AnySchedule:
        return optimization.ConstantSchedule()

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages, l2sp=self.regularization_coeff)


class AdamWeightDecayStrategy(_PaddleHub):
    """All parameters are trained by Adam with decoupled decay, warmup and clipping, like BERT."""

    name: Literal["adam_weight_decay"] = "adam_weight_decay"
    lr_scheduler: Literal["linear_decay", "noam_decay"] = "linear_decay"
    """How the rate falls after the warmup."""
    warmup_proportion: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled decay of all parameters except biases and norms."""

    def schedule(self) -> optimization.AnySchedule:
        if self.lr_scheduler == "noam_decay":
            return optimization.NoamSchedule(warmup=self.warmup_proportion)
        return optimization.LinearSchedule(warmup=self.warmup_proportion)

    def clip(self) -> optimization.ClipSettings:
        return optimization.ClipSettings(global_norm=1.0)  # BERT's

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages, decoupled=self.weight_decay)


class ULMFiTStrategy(_PaddleHub):
    """A slanted triangle of rates; earlier stages have smaller rates, and training reaches them later.

    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018.
    """

    name: Literal["ulmfit"] = "ulmfit"
    cut_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    ratio: float = Field(32, ge=1)
    """Largest rate divided by the smallest."""
    dis_blocks: int = Field(3, ge=0)
    """Number of groups of stages with their own rates; 0: one rate for all."""
    factor: float = Field(2.6, ge=1)
    """Rate of a group divided by the rate of the group below it."""
    frz_blocks: int = Field(3, ge=0)
    """Number of epochs until all stages are trained, from the head down; 0: all from the start."""

    def schedule(self) -> optimization.AnySchedule:
        return optimization.SlantedTriangleSchedule(cut_fraction=self.cut_fraction, ratio=self.ratio)

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages, blocks=self.dis_blocks, factor=self.factor, unfreezing=self.frz_blocks)


class CombinedStrategy(_PaddleHub):
    """Any mix of PaddleHub's schedules, regularisation and clipping; by default the same as `default`."""

    name: Literal["combined"] = "combined"
    scheduler: CombinedScheduler = CombinedScheduler()
    """How rates change."""
    regularization: CombinedRegularization = CombinedRegularization()
    """Penalties on the parameters."""
    clipping: CombinedClip = Field(CombinedClip(), alias="clip")
    """Limits on gradients."""

    @field_validator("scheduler", "regularization", "clipping", mode="before")
    @classmethod
    def _replace_none(cls, value: Any) -> Any:
        return {} if value is None else value  # None is PaddleHub's default

    @model_validator(mode="after")
    def _check_one_fall(self) -> "CombinedStrategy":
        if self.scheduler.noam_decay and self.scheduler.linear_decay.start_point < 1:
            raise ValueError("scheduler has both noam_decay and linear_decay: keep one of them")
        return self

    def schedule(self) -> optimization.AnySchedule:
        return self.scheduler.schedule()

    def clip(self) -> optimization.ClipSettings:
        return self.clipping.clip()

    def rules(self, stages: Sequence[str]) -> list[Rule]:
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
        return rules_for(stages, l2=self.regularization_coeff)


class RulesStrategy(_Trained):
    """Adam with the user's own rules, at a rate that falls linearly to 0; a recipe gives the list itself."""

    name: Literal["rules"] = "rules"
    list_: list[Rule] = Field(alias="list", min_length=1, examples=[[{"match": "head"}]])
    """The rules in order; the first that matches a parameter decides."""

    each_rule_matches: ClassVar[bool] = True

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return self.list_


class HeadSettings(_Strategy):
    """Base of the strategies that fit a head on frozen features."""

    head: Literal["ridge", "logistic"] = "ridge"
    """How the head is solved: `ridge` on the mean of the last map and on covariances of earlier ones, or
    `logistic` on the mean alone, as in earlier versions."""
    views: Literal["auto", 1, 2, "fast"] = "auto"
    """Views of a picture: `2`, the whole picture, a little larger than in the pretraining, and its mirror
    image; `1`, without the mirror image; `fast`, the same at about as many pixels as in the pretraining.
    `auto`: `2`, or `1` if that is clearly better on the training list; with `head: logistic`,
    cross-validation also tries the module's own preprocessing. `data.fit` overrides all."""
    folds: int = Field(5, ge=2, le=20)
    """With `head: logistic`: cross-validation folds that choose the views and the head's regularisation."""
    budget: float | None = Field(None, ge=0)
    """Has no effect; earlier versions did not try further views above these seconds."""

    def unused_settings(self) -> list[str]:
        has_folds = self.head == "ridge" and self.folds != type(self).model_fields["folds"].default
        return ["folds"] * has_folds + ["budget"] * (self.budget is not None)


class FrozenStrategy(HeadSettings):
    """The pretrained backbone stays frozen; a linear head is solved in closed form on its features.

    Its regularisation is chosen on the training list alone. Epochs, batch order and learning rate have no
    effect.
    """

    name: Literal["frozen"] = "frozen"

    may_be_int8: ClassVar = True
    train_keys: ClassVar = frozenset({"batch_size", "balance", "seed", "device", "engine"})


class LastStageStrategy(HeadSettings, _Trained):
    """Everything before the last stage stays frozen; the last stage and the head are trained by Adam.

    The head starts as `frozen` fits it. That model stays the best one unless another is better on the
    validation list by more than a standard error.
    """

    name: Literal["last_stage"] = "last_stage"
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters that are trained."""

    default_rate: ClassVar[float] = 1e-5
    train_keys: ClassVar = frozenset(
        "epochs batch_size micro_batch learning_rate optimizer schedule clip loss balance dropout ema "
        "average_best early_stopping eval_interval log_interval save_ckpt_interval keep on_disk_full "
        "batch_norm amp loss_scale seed device engine".split()
    )

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        decay = self.regularization_coeff
        trained = [Rule(match=stage, weight_decay=decay) for stage in (stages[-2], "head")]
        return [*trained, Rule(match="*", frozen=True)]


class FromFrozenStrategy(HeadSettings, _Trained):
    """Starts with the head and views of `frozen`; then all parameters are trained by Adam.

    A head that already fits keeps training from distorting the backbone's features (Kumar et al.,
    "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", 2022). The model of
    `frozen` stays the best one unless another is better on the validation list by more than a standard error.
    """

    name: Literal["from_frozen"] = "from_frozen"
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters."""

    def rules(self, stages: Sequence[str]) -> list[Rule]:
        return rules_for(stages, l2=self.regularization_coeff)


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
