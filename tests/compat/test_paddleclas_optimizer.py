"""Optimizers and rates of PaddleClas become those of a recipe."""

import pytest

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_optimizer import translate_optimizer
from hubtune.compat.translation import Translation
from hubtune.errors import ModelError


def translate(optimizer, weights="official", epochs=100):
    data = {"Optimizer": optimizer, "Global": {"epochs": epochs}}
    translation = Translation("c.yaml", {}, {"module": {"weights": weights}, "train": {}})
    translate_optimizer(ConfigValues(data, "c.yaml"), translation)
    return translation.recipe, [entry.key for entry in translation.left_out]


@pytest.mark.parametrize(
    ("rate", "schedule"),
    [
        ({"name": "Cosine", "warmup_epoch": 5}, {"name": "cosine", "warmup": 0.05}),
        ({"name": "Cosine", "eta_min": 1e-7}, {"name": "cosine", "end": 1e-7}),
        ({"name": "CosineWarmup"}, {"name": "cosine", "warmup": 0.05}),
        ({"name": "Linear", "power": 2, "end_lr": 0.1}, {"name": "polynomial", "power": 2.0, "end": 0.1}),
        ({"name": "Step", "step_size": 7, "gamma": 0.5}, {"name": "step", "every": 7, "gamma": 0.5}),
        (
            {"name": "MultiStepDecay", "milestones": [20, 40], "gamma": 0.5},
            {"name": "piecewise", "boundaries": [20, 40], "factors": [1.0, 0.5, 0.25]},
        ),
        (
            {"name": "Piecewise", "decay_epochs": [30], "values": [0.2, 0.02]},
            {"name": "piecewise", "boundaries": [30], "factors": [1.0, 0.1]},
        ),
        (
            {"name": "ExponentialWarmup", "decay_epochs": 2.4, "decay_rate": 0.97},
            {
                "name": "exponential_decay_warmup",
                "decay_epochs": 2.4,
                "decay_rate": 0.97,
                "warmup_epochs": 5.0,
            },
        ),
        ({"name": "Constant"}, {"name": "constant"}),
        ({}, {"name": "constant"}),
    ],
)
def test_rates(rate, schedule):
    recipe, left_out = translate({"lr": {"learning_rate": 0.2, **rate}})
    assert (recipe["train"]["schedule"], recipe["train"]["learning_rate"], left_out) == (schedule, 0.2, [])


def test_optimizers_and_decay():
    momentum = {"name": "Momentum", "momentum": 0.9, "use_nesterov": True, "clip_norm": 5}
    recipe, _ = translate({**momentum, "regularizer": {"name": "L2", "coeff": 1e-4}})
    assert recipe["train"]["optimizer"] == {"name": "momentum", "momentum": 0.9, "nesterov": True}
    assert recipe["train"]["clip"] == {"global_norm": 5.0}
    assert recipe["strategy"] == {"name": "default_finetune", "regularization_coeff": 1e-4}
    assert translate(momentum, weights="none")[0]["strategy"] == {
        "name": "scratch",
        "regularization_coeff": 0.0,
    }


def test_biases_and_norms_without_decay():
    names = "absolute_pos_embed .bias norm"
    adamw = {"name": "AdamW", "weight_decay": 0.05, "no_weight_decay_name": names}
    recipe, left_out = translate(adamw)
    rules = [{"match": "*", "dimensions": 1}, {"match": "*", "weight_decay": 0.05}]
    assert recipe["strategy"] == {"name": "rules", "list": rules}
    assert left_out == ["Optimizer.no_weight_decay_name"]


@pytest.mark.parametrize(
    ("optimizer", "key"),
    [
        ({"name": "Lion"}, "Optimizer.name"),
        ({"name": "RMSProp", "momentum": 0.9}, "Optimizer.momentum"),
        ({"regularizer": {"name": "L1", "coeff": 1}}, "Optimizer.regularizer.name"),
        ({"lr": {"name": "Cyclic"}}, "Optimizer.lr.name"),
        ({"lr": {"warmup_epoch": 100}}, "Optimizer.lr.warmup_epoch"),
        ({"lr": {"warmup_start_lr": 0.1}}, "Optimizer.lr.warmup_start_lr"),
        ({"lr": {"by_epoch": True}}, "Optimizer.lr.by_epoch"),
    ],
)
def test_what_has_no_counterpart_is_named(optimizer, key):
    assert translate(optimizer)[1] == [key]


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ({"learning_rate": "fast"}, "Optimizer.lr.learning_rate is the text 'fast', and must be a number"),
        (
            {"name": "Piecewise", "values": 3},
            "Optimizer.lr.values is the number 3, and must be a list of numbers",
        ),
        (
            {"name": "Piecewise", "values": [0.1, "low"]},
            "Optimizer.lr.values.1 is the text 'low', and must be a number",
        ),
        (
            {"name": "Piecewise", "values": [0.1, None]},
            "Optimizer.lr.values.1 is null (nothing), and must be a number",
        ),
    ],
)
def test_wrong_values_are_refused(rate, message):
    with pytest.raises(ModelError) as caught:
        translate({"lr": rate})
    assert str(caught.value).startswith(f"c.yaml: {message}")
