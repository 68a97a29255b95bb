"""Training plans: the rules, optimizer and schedule for a network, and the intervals of the loop."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from hubtune.errors import UsageError
from hubtune.recipe.optimization import AnySchedule, AutoSchedule, ClipSettings, OptimizerSettings
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import GradientStrategy, SolvedStrategy
from hubtune.train.rules import NamedParameter, is_frozen, match_rules
from hubtune.train.schedules import RunLength, rate_at

_SECONDS_BETWEEN_CHECKPOINTS = 300.0


@dataclass(frozen=True)
class TrainingPlan:
    """How the parameters of a network are trained.

    Attributes:
        matched: each parameter with its rule.
        optimizer: settings; the name is not ``auto``.
        rate: learning rate of the recipe.
    """

    rules: Sequence[Rule]
    matched: Sequence[tuple[NamedParameter, Rule]]
    optimizer: OptimizerSettings
    schedule: AnySchedule
    clip: ClipSettings
    rate: float

    def rates(self, length: RunLength) -> Callable[[int], float]:
        """Return the schedule: steps made → learning rate of the next step, before the rules' factors."""
        return lambda step: rate_at(self.schedule, step, length, self.rate)


def plan_training(config: RunConfig, parameters: Iterable[NamedParameter], rate: float) -> TrainingPlan:
    """Combine the recipe with the strategy's defaults; the recipe may leave the rate to a range test.

    Raises:
        UsageError: if the strategy's rules do not fit the network, or freeze everything.
    """
    strategy = cast(GradientStrategy | SolvedStrategy, config.strategy)
    parameters = list(parameters)
    stages = list(dict.fromkeys(parameter.stage for parameter in parameters))
    rules = strategy.rules(stages)
    matched = match_rules(rules, parameters, idle=not strategy.each_rule_matches)
    if all(is_frozen(rule, 0, 1) for _, rule in matched):
        raise UsageError("The strategy's rules freeze everything at the start: train at least the head")
    optimizer, schedule = config.optimizer, config.schedule
    if optimizer.name == "auto":
        optimizer = optimizer.model_copy(update={"name": strategy.optimizer()})
    if isinstance(schedule, AutoSchedule):
        schedule = strategy.schedule()
    return TrainingPlan(rules, matched, optimizer, schedule, config.clip or strategy.clip(), rate)


@dataclass(frozen=True)
class LoopSettings:
    """Length and intervals of the training loop.

    Attributes:
        eval_interval: steps between evaluations; the last step is followed by one, too.
        log_interval: steps between log lines.
        save_interval: steps between checkpoints; ``None``: at the end of each epoch and every five minutes.
        rate: steps made → learning rate of the next step.
        base_rate: learning rate of the recipe.
        average_interval: steps between averages of the models of all ranks; each evaluation is also preceded
            by one. ``None``: all ranks have the same model after each step.
        eval_each_epoch: whether each epoch also ends with an evaluation.
    """

    steps_per_epoch: int
    total_steps: int
    eval_interval: int
    log_interval: int
    save_interval: int | None
    rate: Callable[[int], float]
    base_rate: float
    average_interval: int | None = None
    eval_each_epoch: bool = True

    def averages_after(self, step: int) -> bool:
        """Whether all ranks have the same model after a step, where it can be saved and the run can stop."""
        interval = self.average_interval
        return interval is None or step % interval == 0 or self.evaluates_after(step)

    def evaluates_after(self, step: int) -> bool:
        if step == 0:
            return False
        ends_epoch = self.eval_each_epoch and step % self.steps_per_epoch == 0
        return ends_epoch or step % self.eval_interval == 0 or step == self.total_steps

    def logs_after(self, step: int) -> bool:
        return step % self.log_interval == 0 or step == self.total_steps

    def saves_after(self, step: int, seconds: float) -> bool:
        """Whether a checkpoint is due after a step, ``seconds`` after the latest one."""
        if not self.averages_after(step):
            return False
        if step == self.total_steps:
            return True
        if self.save_interval is not None:
            return step % self.save_interval == 0
        return step % self.steps_per_epoch == 0 or seconds > _SECONDS_BETWEEN_CHECKPOINTS
