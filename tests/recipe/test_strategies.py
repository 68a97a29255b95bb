"""Presets mean what PaddleHub 1.x's strategies meant."""

import pytest

from hubtune.recipe.optimization import LinearSchedule, NoamSchedule, SlantedTriangleSchedule
from hubtune.recipe.schema import TrainSection
from hubtune.recipe.strategies import (
    AdamWeightDecayStrategy,
    CombinedStrategy,
    DefaultFinetuneStrategy,
    DefaultStrategy,
    FrozenStrategy,
    L2SPFinetuneStrategy,
    LastStageStrategy,
    ULMFiTStrategy,
)

STAGES = ["stem", "stage1", "stage2", "stage3", "stage4", "head"]


def _of(strategy, what):
    return {rule.match: getattr(rule, what) for rule in strategy.rules(STAGES)}


def test_default_is_adam_and_nothing_else():
    [rule] = DefaultStrategy().rules(STAGES)
    assert rule.model_dump(exclude_defaults=True) == {"match": "*"}
    assert DefaultStrategy().schedule().name == "constant"
    assert DefaultStrategy().optimizer() == "adam"
    assert DefaultStrategy().default_rate == 1e-4


def test_default_finetune_decays_all_parameters_and_falls_linearly():
    [rule] = DefaultFinetuneStrategy().rules(STAGES)
    assert rule.model_dump(exclude_defaults=True) == {"match": "*", "weight_decay": 1e-3}
    assert DefaultFinetuneStrategy().schedule() == LinearSchedule()


def test_l2sp_holds_all_but_the_head_to_pretrained_values():
    assert _of(L2SPFinetuneStrategy(), "l2sp") == {"head": 0, "*": 1e-3}
    assert _of(L2SPFinetuneStrategy(), "weight_decay") == {"head": 0, "*": 0}


def test_adam_weight_decay_spares_biases_and_norms():
    vectors, rest = AdamWeightDecayStrategy().rules(STAGES)
    assert (vectors.dimensions, vectors.decoupled_decay) == (1, 0)
    assert (rest.dimensions, rest.decoupled_decay) == (None, 0.01)
    assert AdamWeightDecayStrategy().schedule() == LinearSchedule(warmup=0.1)
    assert AdamWeightDecayStrategy(lr_scheduler="noam_decay").schedule() == NoamSchedule(warmup=0.1)
    assert AdamWeightDecayStrategy().clip().global_norm == 1.0


def test_ulmfit_trains_earlier_stages_slower_and_later():
    strategy = ULMFiTStrategy()
    # Six stages in three groups of two, from the top; in epoch e the top 6·e//3.
    rates = [2.6**-2, 2.6**-2, 1 / 2.6, 1 / 2.6, 1, 1]
    assert _of(strategy, "lr_mult") == pytest.approx(dict(zip(STAGES, rates, strict=True)))
    assert _of(strategy, "frozen_epochs") == dict(zip(STAGES, [2, 2, 1, 1, 0, 0], strict=True))
    assert strategy.schedule() == SlantedTriangleSchedule(cut_fraction=0.1, ratio=32)


def test_combined_without_settings_is_default():
    assert CombinedStrategy().rules(STAGES) == DefaultStrategy().rules(STAGES)
    assert CombinedStrategy().schedule() == DefaultStrategy().schedule()
    assert CombinedStrategy(scheduler=None, regularization=None, clip=None) == CombinedStrategy()


def test_combined_takes_paddlehubs_dictionaries():
    strategy = CombinedStrategy(
        scheduler={"warmup": 0.1, "linear_decay": {"start_point": 0.9, "end_learning_rate": 1e-6}},
        regularization={"L2": 1e-3, "weight_decay": 0.01},
        clip={"GlobalNorm": 2.0},
    )
    assert strategy.schedule() == LinearSchedule(warmup=0.1, start_point=0.9, end=1e-6)
    vectors, rest = strategy.rules(STAGES)
    assert (vectors.weight_decay, vectors.decoupled_decay) == (1e-3, 0)
    assert (rest.weight_decay, rest.decoupled_decay) == (1e-3, 0.01)
    assert strategy.clip().global_norm == 2.0
    discriminative = {"discriminative": {"blocks": 3, "factor": 2.0}, "gradual_unfreeze": 2, "warmup": 0.5}
    slanted = {"slanted_triangle": {"cut_fraction": 0.2, "ratio": 8}}
    triangle = CombinedStrategy(scheduler={**slanted, **discriminative})
    assert triangle.schedule() == SlantedTriangleSchedule(cut_fraction=0.2, ratio=8)
    assert _of(triangle, "lr_mult")["stem"] == 0.25
    assert _of(triangle, "frozen_epochs")["stem"] == 1


def test_two_falls_at_once_are_refused():
    with pytest.raises(ValueError, match="both noam_decay and linear_decay"):
        CombinedStrategy(scheduler={"noam_decay": True, "linear_decay": {"start_point": 0.5}})


def test_the_train_keys_that_a_strategy_uses_exist():
    for strategy in (FrozenStrategy, LastStageStrategy):
        assert set(TrainSection.model_fields) >= strategy.train_keys
