"""What a strategy and a recipe come to for a network: its rules, optimiser, schedule and limits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hubtune.errors import UsageError
from hubtune.recipe.optimization import AnySchedule, AutoSchedule, ClipSettings, OptimizerSettings
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import GradientStrategy, RulesStrategy, SolvedStrategy
from hubtune.train.rules import NamedParameter, is_frozen, match_rules
from hubtune.train.schedules import RunLength, rate_at


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Attributes:
        rules: in order.
        matched: each parameter with the rule it is trained by.
        optimizer: with a name that is not ``auto``.
        schedule: of the rate.
        clip: limits on gradients.
        rate: the recipe's rate.
    """

    rules: Sequence[Rule]
    matched: Sequence[tuple[NamedParameter, Rule]]
    optimizer: OptimizerSettings
    schedule: AnySchedule
    clip: ClipSettings
    rate: float

    def rates(self, span: RunLength) -> Callable[[int], float]:
        """Steps done → rate of the next step, before the rules' factors."""
        return lambda step: rate_at(self.schedule, step, span, self.rate)


def plan_training(config: RunConfig, parameters: Iterable[NamedParameter], rate: float) -> TrainingPlan:
    """Bring together what the recipe says and what the strategy has for the rest.

    Args:
        config: the recipe.
        parameters: those of the network that can be trained, stem to head.
        rate: the rate, which the recipe may have left to a test.

    Raises:
        UsageError: if the strategy's rules do not fit the network, or leave nothing to train.
    """
    strategy = config.strategy
    assert isinstance(strategy, GradientStrategy | SolvedStrategy)
    parameters = list(parameters)
    stages = list(dict.fromkeys(parameter.stage for parameter in parameters))
    own = isinstance(strategy, RulesStrategy)
    rules = strategy.rules(stages)
    matched = match_rules(rules, parameters, idle=not own)
    if all(is_frozen(rule, 0, 1) for _, rule in matched):
        raise UsageError(
            "The strategy's rules freeze everything at the start: leave at least the head to be trained"
        )
    optimizer, schedule = config.optimizer, config.schedule
    if optimizer.name == "auto":
        optimizer = optimizer.model_copy(update={"name": strategy.optimizer()})
    if isinstance(schedule, AutoSchedule):
        schedule = strategy.schedule()
    return TrainingPlan(rules, matched, optimizer, schedule, config.clip or strategy.clip(), rate)
