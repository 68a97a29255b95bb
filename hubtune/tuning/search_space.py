"""The search space for a recipe: strategies, learning rates and augmentations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hubtune.errors import UsageError, suggest
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import Strategy
from hubtune.train.strategies import TRAINERS

_KIND_OF: dict[str, Any] = {
    kind.model_fields["name"].default: kind for kind in get_args(get_args(Strategy)[0])
}
_STRATEGIES = {name: _KIND_OF[name] for name, trainer in TRAINERS.items() if trainer.searchable}

_AUGMENTS = ("none", "flip", "standard", "strong")
_OWN_AUGMENT = "the recipe's"  # an augmentation that is not a preset

_RATES = (1e-5, 1e-2)  # for Adam and similar optimizers
_RATES_WITHOUT_ADAM = (1e-4, 1.0)  # the others do not divide by the size of the gradients


@dataclass(frozen=True)
class Choice:
    """Settings of a trial.

    The learning rate is ``auto`` if a range test finds it; it and the augmentation may be ``None``.
    """

    strategy: str
    learning_rate: float | Literal["auto"] | None = None
    augment: str | None = None

    @property
    def description(self) -> str:
        rate = None if self.learning_rate is None else f"rate {format_rate(self.learning_rate)}"
        return ", ".join(filter(None, [self.strategy, rate, self.augment]))


@dataclass(frozen=True)
class SearchSpace:
    """What a search may try: strategies, a range of learning rates if there is one, and augmentations.

    The first trials are the recipe itself, ``frozen``, and the recipe with each other strategy. optuna learns
    from those that it could have drawn.
    """

    first: Sequence[Choice]
    strategies: Sequence[str]
    rates: tuple[float, float] | None
    augments: Sequence[str]


def make_search_space(
    recipe: Recipe, names: Sequence[str] | None, *, pretrained: bool, stages: int, has_validation: bool
) -> SearchSpace:
    """Determine what may be tried for a recipe, of the named strategies; ``None`` for all that fit.

    Raises:
        UsageError: if a named strategy, or the recipe's own, does not fit.
    """
    own = _own_choice(recipe)
    available = list(dict.fromkeys([*_STRATEGIES, own.strategy]))
    misfits = {
        name: reason
        for name in _STRATEGIES
        if (reason := _misfit(name, recipe, pretrained, stages, has_validation))
    }
    for name in [own.strategy, *(names or ())]:
        if name not in available:
            raise UsageError(
                f"There is no strategy {name!r} to try: {', '.join(available)}.{suggest(name, available)}"
            )
        if name in misfits:
            raise UsageError(f"Strategy {name} does not go with this recipe: {misfits[name]}")
    # A strategy without learning rate has nothing to draw: it is tried once.
    once = [name for name in _STRATEGIES if not TRAINERS[name].by_gradients]
    strategies = [
        name
        for name in available
        if name not in once and name not in misfits and (names is None or name in names)
    ]
    first = [own, *(Choice(name) for name in once if name not in misfits)]
    for name in strategies:
        if name != own.strategy:  # defaults are better than what is drawn before anything is known
            first.append(_own_choice(recipe.model_copy(update={"strategy": _STRATEGIES[name]()})))
    rates = None
    if recipe.train.learning_rate != "auto":  # else a range test takes the place of the search
        adam = recipe.train.optimizer.name in ("auto", "adam", "adamw", "lamb")
        least, largest = _RATES if adam else _RATES_WITHOUT_ADAM
        tried = [choice.learning_rate for choice in first if isinstance(choice.learning_rate, float)]
        rates = min([least, *tried]), max([largest, *tried])
    augments = [choice.augment for choice in first if choice.augment is not None]
    return SearchSpace(
        first=list(dict.fromkeys(first)),
        strategies=strategies,
        rates=rates,
        augments=list(dict.fromkeys([*_AUGMENTS, *augments])),
    )


def _misfit(name: str, recipe: Recipe, pretrained: bool, stages: int, has_validation: bool) -> str | None:
    trainer = TRAINERS[name]
    if trainer.start == "solved_head" and recipe.train.hidden_units:
        return "it solves a linear head, and there are hidden_units"
    if trainer.needs_validation and not has_validation:
        return "it needs a validation list, on which it is compared with frozen (hubtune split --val 20)"
    if stages < trainer.min_stages:
        return "the module has a single stage"
    if name == recipe.strategy.name:
        return None
    if not pretrained and trainer.start not in ("random", "either"):
        return "it needs pretrained weights"
    return "it needs module.weights=none" if pretrained and trainer.start == "random" else None


def _own_choice(recipe: Recipe) -> Choice:
    name, settings = recipe.strategy.name, recipe.train.augment
    trainer = TRAINERS[name]
    if not trainer.by_gradients:
        return Choice(name)
    rate: float | Literal["auto"] = "auto" if recipe.train.learning_rate == "auto" else recipe.config().rate
    augment = None
    if trainer.sees_augmented:
        presets = (preset for preset, keys in AUGMENT_PRESETS.items() if AugmentSettings(**keys) == settings)
        augment = next(presets, _OWN_AUGMENT)
    return Choice(name, rate, augment)


def apply_choice(recipe: Recipe, choice: Choice, *, pretrained: bool) -> Recipe:
    """Return the recipe with a choice applied; its module may be pretrained or start at random."""
    same = choice.strategy == recipe.strategy.name
    strategy: Strategy = recipe.strategy if same else _STRATEGIES[choice.strategy]()
    train: dict[str, Any] = {}
    if isinstance(choice.learning_rate, float):
        train["learning_rate"] = choice.learning_rate
        strategy = strategy.model_copy(update={"learning_rate": None})  # given in one place only
    if choice.augment in AUGMENT_PRESETS:
        train["augment"] = AugmentSettings(**AUGMENT_PRESETS[choice.augment])
    changed: dict[str, Any] = {"strategy": strategy, "train": recipe.train.model_copy(update=train)}
    if not pretrained:  # `scratch` implies it, others do not
        changed["module"] = recipe.module.model_copy(update={"weights": "none"})
    return recipe.model_copy(update=changed)


def format_rate(rate: float | str) -> str:
    """Format a learning rate with two digits: ``0.00012`` for 0.000123."""
    return rate if isinstance(rate, str) else f"{rate:.2g}"
