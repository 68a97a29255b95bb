"""A plan joins the recipe with the strategy's defaults, and says when the loop evaluates, logs and saves."""

from dataclasses import replace

import pytest

from hubtune.errors import UsageError
from hubtune.recipe.schema import RunConfig
from hubtune.train.plan import LoopSettings, plan_training
from hubtune.train.schedules import RunLength


def test_settings_of_the_recipe_override_those_of_the_strategy_which_may_not_freeze_everything(parameters):
    own = plan_training(RunConfig(strategy="adam_weight_decay"), parameters, 0.1)
    config = RunConfig(strategy="adam_weight_decay", optimizer="sgd", schedule="constant", clip={"norm": 2.0})
    other = plan_training(config, parameters, 0.1)
    assert own.optimizer.name == "adam" and own.schedule.name == "linear"
    assert (other.optimizer.name, other.schedule.name, other.clip.norm) == ("sgd", "constant", 2.0)
    rate = other.rates(RunLength(epochs=2, images=8, batch_size=4))
    assert [rate(step) for step in range(4)] == [0.1] * 4
    for rule in ({"frozen": True}, {"frozen_epochs": 1}):
        config = RunConfig(strategy={"name": "rules", "list": [{"match": "*", **rule}]})
        with pytest.raises(UsageError, match="freeze everything"):
            plan_training(config, parameters, 0.1)


def test_the_loop_evaluates_logs_and_saves_at_intervals_and_at_the_end():
    settings = LoopSettings(4, 10, 3, 5, None, lambda step: 0.1, 0.1)
    assert [step for step in range(11) if settings.evaluates_after(step)] == [3, 4, 6, 8, 9, 10]
    by_interval = replace(settings, eval_each_epoch=False)
    assert [step for step in range(11) if by_interval.evaluates_after(step)] == [3, 6, 9, 10]
    assert [step for step in range(1, 11) if settings.logs_after(step)] == [5, 10]
    assert [step for step in range(1, 11) if settings.saves_after(step, 0)] == [4, 8, 10]
    assert settings.saves_after(5, 301)
    settings = replace(settings, save_interval=3)
    assert [step for step in range(1, 11) if settings.saves_after(step, 999)] == [3, 6, 9, 10]
