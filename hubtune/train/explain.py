"""What a recipe comes to: for each parameter the rule it is trained by, and its rate in each epoch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubtune.hub.module import Module
from hubtune.models.classifier import Classifier
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import Recipe
from hubtune.report.plots import draw_plot
from hubtune.train.plan import TrainingPlan, plan_training
from hubtune.train.rules import NamedParameter, is_frozen
from hubtune.train.schedules import RunLength

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Explained:
    """How one parameter is trained.

    Attributes:
        stage: the stage that it belongs to.
        name: its name in the state dict.
        shape: its shape.
        rule: the rule that decides, as a recipe would write it.
        number: that rule's place in the list, from 1.
        trained: whether it is trained in each epoch's first step.
        rates: its rate in that step; 0 where it is frozen.
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
        method: rules, optimiser, schedule and limits.
        span: how long the run is.
        parameters: stem to head.
        rates: of each step, before the rules' factors.
        is_auto: whether a test will decide about the rate; these are for the strategy's own.
    """

    method: TrainingPlan
    span: RunLength
    parameters: list[Explained]
    rates: list[float]
    is_auto: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        method = self.method
        return {
            "optimizer": method.optimizer.model_dump(),
            "schedule": method.schedule.model_dump(),
            "clip": method.clip.model_dump(),
            "learning_rate": method.rate,
            "learning_rate_auto": self.is_auto,
            "epochs": self.span.epochs,
            "steps_per_epoch": self.span.steps_per_epoch,
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

    def groups(self) -> list[list[Explained]]:
        """The parameters of each stage that one rule decides about, stem to head."""
        found: dict[tuple[str, int], list[Explained]] = {}
        for each in self.parameters:
            found.setdefault((each.stage, each.number), []).append(each)
        return [*found.values()]


def explain(recipe: Recipe, images: int, classes: int) -> Explanation:
    """Work out how each parameter of a recipe's network is trained; no weights are read.

    Args:
        recipe: one that trains by gradients.
        images: in the training list.
        classes: how many there are.

    Raises:
        UsageError: if the rules, or the settings for pictures, do not fit the network.
        ModelError: if there is no such module.
    """
    config = recipe.config()
    module = Module(recipe.module.name, weights=None, trust_code=recipe.module.trust_code)
    classifier = Classifier(module.backbone, classes, hidden_units=config.hidden_units)
    view = module.preprocessing_for(config)
    classifier.take_channels(view.channels, view.grey_in_colours)
    named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
    method = plan_training(config, named, config.rate)
    span = RunLength(config.epochs, images, config.images_per_step)
    rate_of = method.rates(span)
    numbers = {id(rule): number for number, rule in enumerate(method.rules, 1)}
    steps = span.steps_per_epoch
    parameters = []
    for parameter, rule in method.matched:
        starts = [epoch * steps for epoch in range(span.epochs)]
        trained = [not is_frozen(rule, start, steps) for start in starts]
        rates = [on * rule.lr_mult * rate_of(start) for on, start in zip(trained, starts, strict=True)]
        shape = tuple(parameter.tensor.shape)
        parameters.append(
            Explained(parameter.stage, parameter.name, shape, rule, numbers[id(rule)], trained, rates)
        )
    is_auto = config.learning_rate == "auto"
    return Explanation(method, span, parameters, [rate_of(step) for step in range(span.total)], is_auto)


def draw_rates(explanation: Explanation) -> bytes:
    """Draw the rate of each group of parameters against the steps; a PNG picture."""
    span = explanation.span
    curves: dict[tuple[float, ...], list[str]] = {}
    for group in explanation.groups():
        rule = group[0].rule
        values = tuple(
            0.0 if is_frozen(rule, step, span.steps_per_epoch) else rule.lr_mult * rate
            for step, rate in enumerate(explanation.rates)
        )
        names = curves.setdefault(values, [])
        if group[0].stage not in names:
            names.append(group[0].stage)
    places = [step / span.steps_per_epoch for step in range(span.total)]

    def fill(axes: "Axes") -> None:
        for values, names in curves.items():
            label = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
            axes.step([*places, span.epochs], [*values, values[-1]], where="post", label=label)
        axes.set(xlabel="epoch", ylabel="learning rate", xlim=(0, span.epochs))
        axes.set_ylim(bottom=0)

    return draw_plot(fill, size=(8, 4.5))
