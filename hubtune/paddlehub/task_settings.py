"""The configuration of a task, from PaddleHub's configuration, reader and module."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

import hubtune
from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.paddlehub.image_reader import ImageClassificationReader
from hubtune.paddlehub.pretrained import Variable
from hubtune.recipe.optimization import AutoSchedule
from hubtune.recipe.rule import Rule
from hubtune.recipe.strategies import GradientStrategy, RulesStrategy
from hubtune.train.strategies import TRAINERS


def merge_settings(
    config: hubtune.RunConfig, reader: ImageClassificationReader, feature: Variable
) -> hubtune.RunConfig:
    """Add the reader's settings, and those of the module's ``context``, to the configuration."""
    # `fit` has its effect through the module's preprocessing; here it is for the run's recipe.
    extra: dict[str, Any] = {"fit": "stretch"}
    if reader.data_augmentation:
        extra["augment"] = "standard"
    if reader.random_seed is not None:
        extra["seed"] = reader.random_seed
    extra = {name: value for name, value in extra.items() if name not in config.model_fields_set}
    if not feature.trainable and TRAINERS[config.strategy.name].by_gradients:
        extra |= _head_only_settings(config, [stage.name for stage in feature.module.stages])
    return hubtune.RunConfig(**{**dict(config), **extra})


def _head_only_settings(config: hubtune.RunConfig, stages: Sequence[str]) -> dict[str, Any]:
    """Settings that train only the head, in the way in which the strategy trains it."""
    strategy = cast(GradientStrategy, config.strategy)
    if not TRAINERS[strategy.name].paddlehub:
        raise UsageError(
            f"context(trainable=False) freezes the module, and strategy {strategy.name} decides itself what "
            "is trained: use context(trainable=True)"
        )
    rules = []
    for rule in strategy.rules(stages):
        if fnmatchcase("head", rule.match):
            rules.append(rule.model_copy(update={"match": "head"}))
            if rule.dimensions is None:
                break  # later rules do not reach a parameter of the head
    logger.info("the module is not trained; strategy frozen would fit the head in seconds")
    rules.append(Rule(match="*", frozen=True))
    optimizer = config.optimizer
    if optimizer.name == "auto":
        optimizer = optimizer.model_copy(update={"name": strategy.optimizer()})
    return {
        "strategy": RulesStrategy(list=rules, learning_rate=strategy.learning_rate),
        "optimizer": optimizer,
        "schedule": strategy.schedule() if isinstance(config.schedule, AutoSchedule) else config.schedule,
        "clip": config.clip or strategy.clip(),
    }
