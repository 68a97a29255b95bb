"""Presets mean what PaddleHub 1.x's strategies meant."""

import pytest

from hubtune.recipe import strategies
from hubtune.recipe.optimization import LinearSchedule, NoamSchedule, SlantedTriangleSchedule
from hubtune.recipe.schema import TrainSection
from hubtune.recipe.strategies import AdamWeightDecayStrategy, CombinedStrategy, DefaultStrategy

STAGES = ["stem", "stage1", "stage2", "stage3", "stage4", "head"]


def _rules(strategy):
    return [rule.model_dump(exclude_defaults=True) for rule in strategy.rules(STAGES)]


def _of(strategy, what):
    return [getattr(rule, what) for rule in reversed(strategy.rules(STAGES))]


def test_default_is_adam_and_nothing_else():
    default = DefaultStrategy()
    assert _rules(default) == [{"match": "*"}]
    assert (default.schedule().name, default.optimizer(), default.default_rate) == ("constant", "adam", 1e-4)


def test_default_finetune_decays_all_parameters_and_falls_linearly():
    assert _rules(strategies.DefaultFinetuneStrategy()) == [{"match": "*", "weight_decay": 1e-3}]
    assert strategies.DefaultFinetuneStrategy().schedule() == LinearSchedule()


def test_l2sp_holds_all_but_the_head_to_pretrained_values():
    assert _rules(strategies.L2SPFinetuneStrategy()) == [{"match": "head"}, {"match": "*", "l2sp": 1e-3}]


def test_adam_weight_decay_spares_biases_and_norms():
    strategy = AdamWeightDecayStrategy()
    assert _rules(strategy) == [{"match": "*", "dimensions": 1}, {"match": "*", "decoupled_decay": 0.01}]
    assert strategy.schedule() == LinearSchedule(warmup=0.1)
    assert AdamWeightDecayStrategy(lr_scheduler="noam_decay").schedule() == NoamSchedule(warmup=0.1)
    assert strategy.clip().global_norm == 1.0


def test_ulmfit_trains_earlier_stages_slower_and_later():
    strategy = strategies.ULMFiTStrategy()
    # Six stages in three groups of two, from the top; in epoch e the top 6·e//3.
    assert _of(strategy, "match") == STAGES
    assert _of(strategy, "lr_mult") == pytest.approx([2.6**-2, 2.6**-2, 1 / 2.6, 1 / 2.6, 1, 1])
    assert _of(strategy, "frozen_epochs") == [2, 2, 1, 1, 0, 0]
    assert strategy.schedule() == SlantedTriangleSchedule(cut_fraction=0.1, ratio=32)


def test_combined_without_settings_is_default():
    assert CombinedStrategy().rules(STAGES) == DefaultStrategy().rules(STAGES)
    assert CombinedStrategy().schedule() == DefaultStrategy().schedule()
    assert CombinedStrategy(scheduler=None, regularization=None, clip=None) == CombinedStrategy()


def test_combined_takes_paddlehubs_dictionaries():
    decay = {"linear_decay": {"start_point": 0.9, "end_learning_rate": 1e-6}, "warmup": 0.1}
    penalties = {"L2": 1e-3, "weight_decay": 0.01}
    strategy = CombinedStrategy(scheduler=decay, regularization=penalties, clip={"GlobalNorm": 2.0})
    assert strategy.schedule() == LinearSchedule(warmup=0.1, start_point=0.9, end=1e-6)
    l2 = {"match": "*", "weight_decay": 1e-3}
    assert _rules(strategy) == [{**l2, "dimensions": 1}, {**l2, "decoupled_decay": 0.01}]
    assert strategy.clip().global_norm == 2.0
    discriminative = {"discriminative": {"blocks": 3, "factor": 2.0}, "gradual_unfreeze": 2, "warmup": 0.5}
    slanted = {"slanted_triangle": {"cut_fraction": 0.2, "ratio": 8}}
    triangle = CombinedStrategy(scheduler={**slanted, **discriminative})
    assert triangle.schedule() == SlantedTriangleSchedule(cut_fraction=0.2, ratio=8)
    assert _of(triangle, "lr_mult")[0] == 0.25
    assert _of(triangle, "frozen_epochs")[0] == 1


def test_two_falls_at_once_are_refused():
    with pytest.raises(ValueError, match="both noam_decay and linear_decay"):
        CombinedStrategy(scheduler={"noam_decay": True, "linear_decay": {"start_point": 0.5}})


def test_the_train_keys_that_a_strategy_uses_exist():
    for strategy in (strategies.FrozenStrategy, strategies.LastStageStrategy):
        assert set(TrainSection.model_fields) >= strategy.train_keys
