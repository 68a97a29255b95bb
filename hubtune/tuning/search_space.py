"""What a search for settings may try for a recipe: strategies, learning rates and augmentations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hubtune.errors import UsageError, suggest
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import (
    AdamWeightDecayStrategy,
    DefaultFinetuneStrategy,
    FromFrozenStrategy,
    FrozenStrategy,
    HeadSettings,
    L2SPFinetuneStrategy,
    LastStageStrategy,
    ScratchStrategy,
    Strategy,
    ULMFiTStrategy,
)

WITHOUT_AUGMENT = ("frozen", "last_stage")
"""Strategies that see the pictures as they are."""

_STRATEGIES: dict[str, Any] = {
    kind.model_fields["name"].default: kind
    for kind in (
        FrozenStrategy,
        FromFrozenStrategy,
        DefaultFinetuneStrategy,
        LastStageStrategy,
        L2SPFinetuneStrategy,
        ULMFiTStrategy,
        AdamWeightDecayStrategy,
        ScratchStrategy,
    )
}
_FROM_RANDOM = ("adam_weight_decay", "scratch")  # what makes sense without pretrained weights

_AUGMENTS = ("none", "flip", "standard", "strong")
_OWN_AUGMENT = "the recipe's"  # one that is no preset

_RATES = (1e-5, 1e-2)  # for Adam and its kin
_RATES_WITHOUT_ADAM = (1e-4, 1.0)  # the others do not divide by the size of the gradients


@dataclass(frozen=True)
class Choice:
    """What a trial tries.

    Attributes:
        strategy: its name.
        learning_rate: ``auto`` where a test of rates finds it; ``None`` where there is none.
        augment: the name of an augmentation; ``None`` where pictures are not augmented.
    """

    strategy: str
    learning_rate: float | Literal["auto"] | None = None
    augment: str | None = None

    @property
    def description(self) -> str:
        """The choice for people, on one line."""
        rate = [] if self.learning_rate is None else [f"rate {rate_in_words(self.learning_rate)}"]
        return ", ".join([self.strategy, *rate, *([] if self.augment is None else [self.augment])])


@dataclass(frozen=True)
class SearchSpace:
    """What may be tried.

    Attributes:
        first: what is tried first: the recipe itself, ``frozen``, and the recipe with each other strategy.
            optuna learns from those that it could have drawn.
        strategies: those that optuna may draw.
        rates: least and largest learning rate; ``None`` where there is nothing to draw.
        augments: names of augmentations.
    """

    first: Sequence[Choice]
    strategies: Sequence[str]
    rates: tuple[float, float] | None
    augments: Sequence[str]


def space_of(
    recipe: Recipe,
    wanted: Sequence[str] | None,
    *,
    pretrained: bool,
    stages: int,
    has_validation: bool,
) -> SearchSpace:
    """What may be tried for a recipe.

    Args:
        recipe: the recipe.
        wanted: names of strategies; ``None`` for all that go with it.
        pretrained: whether the module has weights.
        stages: how many stages it has.
        has_validation: whether the data have a validation list.

    Raises:
        UsageError: if a strategy that is wanted, or the recipe's own, does not.
    """
    own = _own_choice(recipe)
    known = list(dict.fromkeys([*_STRATEGIES, own.strategy]))
    misfits = {}
    for name, kind in _STRATEGIES.items():
        reason = _misfit(kind, recipe, stages, has_validation)
        if reason is None and name != own.strategy:
            reason = _wrong_start(name, pretrained)
        if reason is not None:
            misfits[name] = reason
    for name in [own.strategy, *(wanted or ())]:
        if name not in known:
            raise UsageError(
                f"There is no strategy {name!r} to try: {', '.join(known)}.{suggest(name, known)}"
            )
        if name in misfits:
            raise UsageError(f"Strategy {name} does not go with this recipe: {misfits[name]}")
    # `frozen` has nothing to draw: once is enough.
    strategies = [
        name
        for name in known
        if name != "frozen" and name not in misfits and (wanted is None or name in wanted)
    ]
    first = [own, *([] if "frozen" in misfits else [Choice("frozen")])]
    # Defaults are better than what is drawn before anything is known.
    first += [
        _own_choice(recipe.model_copy(update={"strategy": _STRATEGIES[name]()}))
        for name in strategies
        if name != own.strategy
    ]
    rates = None
    if recipe.train.learning_rate != "auto":  # where it is, a test of rates takes the place of the search
        adam = recipe.train.optimizer.name in ("auto", "adam", "adamw", "lamb")
        least, largest = _RATES if adam else _RATES_WITHOUT_ADAM
        given = [choice.learning_rate for choice in first if isinstance(choice.learning_rate, float)]
        rates = min([least, *given]), max([largest, *given])
    augments = [choice.augment for choice in first if choice.augment is not None]
    return SearchSpace(
        first=list(dict.fromkeys(first)),
        strategies=strategies,
        rates=rates,
        augments=list(dict.fromkeys([*_AUGMENTS, *augments])),
    )


def _wrong_start(name: str, pretrained: bool) -> str | None:
    """Why a strategy does not go with the module's values; ``None`` if it does."""
    if not pretrained and name not in _FROM_RANDOM:
        return "it needs pretrained weights"
    if pretrained and name == "scratch":
        return "it needs module.weights=none"
    return None


def _misfit(kind: type[Any], recipe: Recipe, stages: int, has_validation: bool) -> str | None:
    """Why a strategy cannot work with a recipe; ``None`` if it can."""
    if issubclass(kind, HeadSettings) and recipe.train.hidden_units:
        return "it solves a linear head, and there are hidden_units"
    if kind in (LastStageStrategy, FromFrozenStrategy) and not has_validation:
        return "it needs a validation list, on which it is held against frozen (hubtune split --val 20)"
    if kind is LastStageStrategy and stages < 3:
        return "the module has a single stage"
    return None


def _own_choice(recipe: Recipe) -> Choice:
    """The recipe itself."""
    strategy, settings = recipe.strategy.name, recipe.train.augment
    if strategy == "frozen":
        return Choice(strategy)
    rate: float | Literal["auto"] = "auto"
    if recipe.train.learning_rate != "auto":
        rate = recipe.config().rate
    presets = [name for name, keys in AUGMENT_PRESETS.items() if AugmentSettings(**keys) == settings]
    return Choice(strategy, rate, None if strategy in WITHOUT_AUGMENT else next(iter(presets), _OWN_AUGMENT))


def recipe_of(recipe: Recipe, choice: Choice, *, pretrained: bool) -> Recipe:
    """The recipe with a choice put in.

    Args:
        recipe: the recipe.
        choice: what is to change.
        pretrained: whether the module has weights.
    """
    strategy: Strategy = recipe.strategy
    if choice.strategy != strategy.name:
        strategy = _STRATEGIES[choice.strategy]()
    train: dict[str, Any] = {}
    if isinstance(choice.learning_rate, float):
        train["learning_rate"] = choice.learning_rate
        strategy = strategy.model_copy(update={"learning_rate": None})  # it is said once
    if choice.augment in AUGMENT_PRESETS:
        train["augment"] = AugmentSettings(**AUGMENT_PRESETS[choice.augment])
    changed: dict[str, Any] = {"strategy": strategy, "train": recipe.train.model_copy(update=train)}
    if not pretrained:  # what `scratch` implies, others have to be told
        changed["module"] = recipe.module.model_copy(update={"weights": "none"})
    return recipe.model_copy(update=changed)


def rate_in_words(rate: float | str) -> str:
    """A learning rate in two digits.

    Example:
        >>> rate_in_words(0.000123)
        '0.00012'
    """
    return rate if isinstance(rate, str) else f"{rate:.2g}"
