"""Presets mean what PaddleHub 1.x's strategies meant."""

import pytest

from hubtune.recipe import strategies
from hubtune.recipe.optimization import ConstantSchedule, LinearSchedule, NoamSchedule
from hubtune.recipe.optimization import SlantedTriangleSchedule as Triangle
from hubtune.recipe.strategies import AdamWeightDecayStrategy, CombinedStrategy

STAGES = ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
NOAM = AdamWeightDecayStrategy(lr_scheduler="noam_decay")
ALL, HEAD, SMALL = {"match": "*"}, {"match": "head"}, {"match": "*", "dimensions": 1}
DECAY = {"weight_decay": 1e-3}


def _of(strategy, what):
    return [getattr(rule, what) for rule in reversed(strategy.rules(STAGES))]


@pytest.mark.parametrize(
    ("strategy", "rules", "schedule", "norm"),
    [
        (strategies.DefaultStrategy(), [ALL], ConstantSchedule(), None),
        (CombinedStrategy(scheduler=None, regularization=None, clip=None), [ALL], ConstantSchedule(), None),
        (strategies.DefaultFinetuneStrategy(), [ALL | DECAY], LinearSchedule(), None),
        (strategies.L2SPFinetuneStrategy(), [HEAD, ALL | {"l2sp": 1e-3}], ConstantSchedule(), None),
        (AdamWeightDecayStrategy(), [SMALL, ALL | {"decoupled_decay": 0.01}], LinearSchedule(warmup=0.1), 1),
        (NOAM, [SMALL, ALL | {"decoupled_decay": 0.01}], NoamSchedule(warmup=0.1), 1),
        (
            CombinedStrategy(
                scheduler={"linear_decay": {"start_point": 0.9, "end_learning_rate": 1e-6}, "warmup": 0.1},
                regularization={"L2": 1e-3, "weight_decay": 0.01},
                clip={"GlobalNorm": 2.0},
            ),
            [SMALL | DECAY, ALL | DECAY | {"decoupled_decay": 0.01}],
            LinearSchedule(warmup=0.1, start_point=0.9, end=1e-6),
            2,
        ),
    ],
)
def test_a_strategy_is_rules_a_schedule_and_limits(strategy, rules, schedule, norm):
    assert [rule.model_dump(exclude_defaults=True) for rule in strategy.rules(STAGES)] == rules
    assert (strategy.schedule(), strategy.clip().global_norm) == (schedule, norm)
    assert (strategy.optimizer(), strategy.default_rate) == ("adam", 1e-4)


def test_ulmfit_trains_earlier_stages_slower_and_later():
    strategy = strategies.ULMFiTStrategy()
    # Six stages in three groups of two, from the top; in epoch e the top 6·e//3.
    assert _of(strategy, "match") == STAGES
    assert _of(strategy, "lr_mult") == pytest.approx([2.6**-2, 2.6**-2, 1 / 2.6, 1 / 2.6, 1, 1])
    assert _of(strategy, "frozen_epochs") == [2, 2, 1, 1, 0, 0]
    assert strategy.schedule() == Triangle(cut_fraction=0.1, ratio=32)
    parts = {"discriminative": {"blocks": 3, "factor": 2.0}, "gradual_unfreeze": 2, "warmup": 0.5}
    combined = CombinedStrategy(scheduler={"slanted_triangle": {"cut_fraction": 0.2, "ratio": 8}, **parts})
    assert combined.schedule() == Triangle(cut_fraction=0.2, ratio=8)
    assert (_of(combined, "lr_mult")[0], _of(combined, "frozen_epochs")[0]) == (0.25, 1)


def test_two_falls_at_once_are_refused():
    with pytest.raises(ValueError, match="both noam_decay and linear_decay"):
        CombinedStrategy(scheduler={"noam_decay": True, "linear_decay": {"start_point": 0.5}})
