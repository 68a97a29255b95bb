"""Explains a recipe: the rule that trains each parameter, and its learning rate in each epoch."""

from dataclasses import dataclass
from typing import Any

from hubtune.hub.module import Module
from hubtune.models.classifier import Classifier
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import Recipe
from hubtune.report.plots import draw_plot
from hubtune.train.plan import TrainingPlan, plan_training
from hubtune.train.rules import NamedParameter, is_frozen
from hubtune.train.schedules import RunLength


@dataclass(frozen=True)
class ExplainedParameter:
    """How one parameter is trained.

    Attributes:
        name: its name in the state dict.
        rule: the rule that matches it, the ``number``-th of the list.
        trained: whether it is trained in the first step of each epoch.
        rates: its learning rate in that step; 0 if it is frozen.
    """

    stage: str
    name: str
    shape: tuple[int, ...]
    rule: Rule
    number: int
    trained: list[bool]
    rates: list[float]


@dataclass(frozen=True)
class Explanation:
    """How a network is trained.

    Attributes:
        parameters: all parameters, stem to head.
        rates: learning rate of each step, before the rules' factors.
        is_auto: whether a range test will choose the rate; these are then those of the strategy's default.
    """

    plan: TrainingPlan
    length: RunLength
    parameters: list[ExplainedParameter]
    rates: list[float]
    is_auto: bool

    def as_dict(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "optimizer": plan.optimizer.model_dump(),
            "schedule": plan.schedule.model_dump(),
            "clip": plan.clip.model_dump(),
            "learning_rate": plan.rate,
            "learning_rate_auto": self.is_auto,
            "epochs": self.length.epochs,
            "steps_per_epoch": self.length.steps_per_epoch,
            "parameters": [
                {
                    "stage": each.stage,
                    "name": each.name,
                    "shape": list(each.shape),
                    "rule": each.number,
                    **each.rule.model_dump(),
                    "trained": each.trained,
                    "rates": each.rates,
                }
                for each in self.parameters
            ],
            "rates": self.rates,
        }

    def groups(self) -> list[list[ExplainedParameter]]:
        """Group the parameters by stage and rule, stem to head."""
        groups: dict[tuple[str, int], list[ExplainedParameter]] = {}
        for each in self.parameters:
            groups.setdefault((each.stage, each.number), []).append(each)
        return [*groups.values()]


def explain(recipe: Recipe, images: int, classes: int) -> Explanation:
    """Determine how each parameter of a recipe's network is trained by gradients; no weights are read.

    Raises:
        UsageError: if the rules or the image settings do not fit the network.
        ModelError: if there is no such module.
    """
    config = recipe.config()
    module = Module(recipe.module.name, weights=None, trust_code=recipe.module.trust_code)
    classifier = Classifier(module.backbone, classes, hidden_units=config.hidden_units)
    view = module.preprocessing_for(config)
    classifier.take_channels(view.channels, view.grey_in_colours)
    named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
    plan = plan_training(config, named, config.rate)
    length = RunLength(config.epochs, images, config.images_per_step)
    rate_of = plan.rates(length)
    numbers = {id(rule): number for number, rule in enumerate(plan.rules, 1)}
    steps = length.steps_per_epoch
    starts = [epoch * steps for epoch in range(length.epochs)]
    parameters = []
    for parameter, rule in plan.matched:
        trained = [not is_frozen(rule, start, steps) for start in starts]
        rates = [on * rule.lr_mult * rate_of(start) for on, start in zip(trained, starts, strict=True)]
        names, shape = (parameter.stage, parameter.name), tuple(parameter.tensor.shape)
        parameters.append(ExplainedParameter(*names, shape, rule, numbers[id(rule)], trained, rates))
    is_auto = config.learning_rate == "auto"
    return Explanation(plan, length, parameters, [rate_of(step) for step in range(length.total)], is_auto)


def draw_rates(explanation: Explanation) -> bytes:
    length = explanation.length
    curves: dict[tuple[float, ...], list[str]] = {}
    for group in explanation.groups():
        rule = group[0].rule
        values = tuple(
            0.0 if is_frozen(rule, step, length.steps_per_epoch) else rule.lr_mult * rate
            for step, rate in enumerate(explanation.rates)
        )
        curves.setdefault(values, []).append(group[0].stage)
    positions = [step / length.steps_per_epoch for step in range(length.total)]

    def fill(axes: Any) -> None:
        for values, names in curves.items():
            label = names[0] if names[0] == names[-1] else f"{names[0]} … {names[-1]}"
            axes.step([*positions, length.epochs], [*values, values[-1]], where="post", label=label)
        axes.set(xlabel="epoch", ylabel="learning rate", xlim=(0, length.epochs))
        axes.set_ylim(bottom=0)

    return draw_plot(fill, size=(8, 4.5))
