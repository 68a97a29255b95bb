"""PaddleHub's strategies take its arguments, by position too, and become hubtune's."""

import pytest

import hubtune
import hubtune.paddlehub as hub
from hubtune.errors import UsageError
from hubtune.paddlehub.strategies import recipe_settings
from hubtune.recipe.optimization import (
    ConstantSchedule,
    LinearSchedule,
    NoamSchedule,
    SlantedTriangleSchedule,
)


def _run_config(strategy):
    return hubtune.RunConfig(**recipe_settings(strategy))


@pytest.mark.parametrize(
    ("strategy", "schedule", "regularization", "clip"),
    [
        (hub.DefaultFinetuneStrategy(1e-3, "sgd", 2e-3), ConstantSchedule(), {"L2": 2e-3}, None),
        (hub.L2SPFinetuneStrategy(1e-3, "sgd", 2e-3), ConstantSchedule(), {"L2SP": 2e-3}, None),
        (
            hub.AdamWeightDecayStrategy(1e-3, "linear_decay", 0.2, 0.3, "sgd"),
            LinearSchedule(warmup=0.2, start_point=0.2),
            {"weight_decay": 0.3},
            1.0,
        ),
        (
            hub.AdamWeightDecayStrategy(1e-3, "noam_decay", 0.2, 0.3, "sgd"),
            NoamSchedule(warmup=0.2),
            {"weight_decay": 0.3},
            1.0,
        ),
        # In the orders of PaddleHub 1.6 and of 1.8.
        (
            hub.ULMFiTStrategy(1e-3, "sgd", 0.2, 16, 2, 2.0, 4),
            SlantedTriangleSchedule(cut_fraction=0.2, ratio=16),
            {},
            None,
        ),
        (
            hub.ULMFiTStrategy(1e-3, "sgd", 0.2, 16, 2, 2.0, None, 4),
            SlantedTriangleSchedule(cut_fraction=0.2, ratio=16),
            {},
            None,
        ),
        (
            hub.CombinedStrategy("sgd", 1e-3, {"warmup": 0.1}, {"L2": 1}, {"Norm": 2}),
            ConstantSchedule(warmup=0.1),
            {"L2": 1},
            None,
        ),
    ],
)
def test_arguments_by_position_reach_the_strategy(strategy, schedule, regularization, clip):
    config = _run_config(strategy)
    assert (config.rate, config.optimizer.name, config.strategy.schedule()) == (1e-3, "sgd", schedule)
    given = config.strategy.regularization.model_dump()
    assert given == {"L2": 0, "L2SP": 0, "weight_decay": 0, **regularization}
    assert config.strategy.clip().global_norm == clip
    if isinstance(strategy, hub.ULMFiTStrategy):
        scheduler = config.strategy.scheduler
        assert (scheduler.discriminative.blocks, scheduler.discriminative.factor) == (2, 2)
        assert scheduler.gradual_unfreeze == 4


def test_optimizers_have_paddlehubs_names_and_arguments():
    for name, own in (("Adam", "adam"), ("SGD", "sgd"), ("LarsMomentum", "lars"), ("RMSProp", "rmsprop")):
        assert _run_config(hub.DefaultStrategy(optimizer_name=name)).optimizer.name == own
    optimizer = _run_config(
        hub.DefaultFinetuneStrategy(optimizer_name="momentum", momentum=0.8, use_nesterov=True)
    ).optimizer
    assert (optimizer.momentum, optimizer.nesterov) == (0.8, True)


def test_dictionaries_are_filled_and_changed_as_in_paddlehub(told):
    strategy = hub.CombinedStrategy(
        scheduler={"gradual_unfreeze": 2, "discriminative": {"blocks": 3}}, clip={"GlobalNorm": 1}
    )
    strategy.add_scheduler("linear_decay", start_point=0.5)
    strategy.add_regularization("weight_decay", 0.1)
    strategy.add_clip("Norm", 5)
    config = _run_config(strategy)
    assert config.strategy.schedule() == LinearSchedule(start_point=0.5)
    assert (config.strategy.scheduler.gradual_unfreeze, config.strategy.regularization.weight_decay) == (
        2,
        0.1,
    )
    assert (config.strategy.clip().global_norm, config.strategy.clip().norm) == (1, None)
    assert str(strategy).startswith(
        "Strategy with scheduler: {'warmup': 0.0, 'linear_decay': {'start_point': 0.5"
    )
    strategy.add_scheduler("noam_decay", True)
    strategy.add_scheduler("warmup", 0.1)
    assert _run_config(strategy).strategy.schedule() == NoamSchedule(warmup=0.1)
    assert told.messages == ["noam_decay takes precedence over linear_decay"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: hub.DefaultStrategy(optimizer_name="Ftrl"),
            "The optimizer 'Ftrl' is not in Paddle 3: take one of",
        ),
        (lambda: hub.DefaultStrategy(optimizer_name="adm"), "'adm' is unknown: .* Did you mean 'adam'"),
        (
            lambda: hub.DefaultStrategy(momentun=1),
            r"Strategies have no 'momentun': .* Did you mean 'momentum'",
        ),
        (lambda: hub.DefaultStrategy(momentum=2), r"RunConfig\.optimizer\.momentum: "),
        (lambda: hub.CombinedStrategy(scheduler={"warmp": 1}), "scheduler has no 'warmp': .* mean 'warmup'"),
        (lambda: hub.CombinedStrategy(clip={"Norm": "a"}), "clip.Norm must be a float, not 'a'"),
        (
            lambda: hub.CombinedStrategy(scheduler={"linear_decay": 1}),
            "scheduler.linear_decay must be a dictionary",
        ),
        (
            lambda: hub.AdamWeightDecayStrategy(lr_scheduler="cosine"),
            "lr_scheduler is 'cosine': it may be linear",
        ),
        (lambda: hub.ULMFiTStrategy(params_layer={"a": 1}), "params_layer names the parameters of a program"),
        (
            lambda: hub.RunConfig(strategy=hub.DefaultStrategy("x")),
            r"RunConfig\.strategy\.default\.learning_rate",
        ),
        (lambda: hub.DefaultStrategy().execute, r"has no 'execute': give the strategy to hub\.RunConfig"),
    ],
)
def test_what_is_wrong_is_a_sentence(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_class_in_place_of_a_strategy_is_refused():
    with pytest.raises(
        UsageError, match=r"strategy is the class ULMFiTStrategy: give an object of it, ULMFiT"
    ):
        hub.RunConfig(strategy=hub.ULMFiTStrategy)
