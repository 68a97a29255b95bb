"""What a fine-tuning strategy is, as data: its settings and the rules it writes for the parameters.

A rule says how the parameters that it matches are trained. Freezing, layer-wise rates and weight decay are
all said with rules, in one ordered list where the first match wins (the idea of google-research/big_vision).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """The base of everything that a recipe says: immutable, and without room for unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Rule(Settings):
    """How the parameters matching a pattern are trained."""

    match: str = Field(examples=["head"])
    """Shell-style pattern, matched against a stage's name (`stem`, `stage1`, …, `head`) and against
    `<stage>/<parameter name>`; `*` matches everything."""
    lr_mult: float = Field(1.0, ge=0)
    """Factor on the learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """L2 coefficient added to the gradient (coupled, as PaddleHub's L2Decay)."""
    frozen: bool = False
    """Not trained at all; a layer whose parameters are all frozen runs in evaluation mode."""


class DefaultFinetuneStrategy(Settings):
    """All parameters are trained by Adam with L2 decay, at a rate that falls linearly to 0."""

    name: Literal["default_finetune"] = "default_finetune"
    learning_rate: float | None = Field(None, gt=0)
    """PaddleHub's place for the rate; `train.learning_rate` says the same."""
    regularization_coeff: float = Field(1e-3, ge=0)
    """L2 coefficient on all parameters."""

    default_rate: ClassVar[float] = 1e-4
    train_keys: ClassVar[frozenset[str] | None] = None

    def rules(self) -> list[Rule]:
        """One rule for everything."""
        return [Rule(match="*", weight_decay=self.regularization_coeff)]


class ScratchStrategy(Settings):
    """All parameters are trained from random values by Adam, at a rate that falls linearly to 0."""

    name: Literal["scratch"] = "scratch"
    learning_rate: float | None = Field(None, gt=0)
    """`train.learning_rate` says the same."""
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters."""

    default_rate: ClassVar[float] = 1e-3
    train_keys: ClassVar[frozenset[str] | None] = None

    def rules(self) -> list[Rule]:
        """One rule for everything."""
        return [Rule(match="*", weight_decay=self.regularization_coeff)]


class RulesStrategy(Settings):
    """Adam with the user's own rules, at a rate that falls linearly to 0; a recipe gives the list itself."""

    name: Literal["rules"] = "rules"
    learning_rate: float | None = Field(None, gt=0)
    """`train.learning_rate` says the same."""
    list_: list[Rule] = Field(alias="list", min_length=1, examples=[[{"match": "head"}]])
    """The rules in order; the first that matches a parameter decides."""

    default_rate: ClassVar[float] = 1e-4
    train_keys: ClassVar[frozenset[str] | None] = None

    def rules(self) -> list[Rule]:
        """The rules as given."""
        return self.list_


class HeadSettings(Settings):
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
    balance: Literal["none", "weights"] = "none"
    """`weights`: each class counts the same, however many pictures it has; `none`: each picture does."""


class FrozenStrategy(HeadSettings):
    """The pretrained trunk stays as it is; a logistic head is solved on its pooled features.

    How the pictures are looked at and the head's strength of regularisation are chosen by cross-validation on
    the training list. Epochs, batch order and learning rate play no part.
    """

    name: Literal["frozen"] = "frozen"

    train_keys: ClassVar[frozenset[str] | None] = frozenset({"batch_size", "seed", "device", "engine"})


class LastStageStrategy(HeadSettings):
    """All before the network's last stage stays as it is; that stage and the head are trained by Adam.

    The head starts as `frozen` solves it, and that stays the best model unless another is better on the
    validation list by more than a standard error.
    """

    name: Literal["last_stage"] = "last_stage"
    learning_rate: float | None = Field(None, gt=0)
    """`train.learning_rate` says the same."""
    regularization_coeff: float = Field(1e-4, ge=0)
    """L2 coefficient on all parameters that are trained."""

    default_rate: ClassVar[float] = 1e-5
    train_keys: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("epochs", "batch_size", "learning_rate", "eval_interval", "log_interval"),
            *("save_ckpt_interval", "batch_norm", "seed", "device", "engine"),
        }
    )

    def rules(self, last_stage: str) -> list[Rule]:
        """The rules for a network whose last stage has this name."""
        trained = [
            Rule(match=stage, weight_decay=self.regularization_coeff) for stage in (last_stage, "head")
        ]
        return [*trained, Rule(match="*", frozen=True)]


# Each strategy's `train_keys` says which keys of the recipe's train section it uses; None: all of them.
GradientStrategy = DefaultFinetuneStrategy | ScratchStrategy | RulesStrategy
Strategy = Annotated[GradientStrategy | FrozenStrategy | LastStageStrategy, Field(discriminator="name")]
