"""An explanation gives each parameter's rule and its rate in each epoch."""

import pytest

from hubtune.recipe.load import make_recipe
from hubtune.train.explain import explain


def test_rates_are_those_of_each_epochs_first_step_and_zero_if_frozen():
    rules = [{"match": "head", "lr_mult": 10}, {"match": "stem", "frozen_epochs": 1}, {"match": "*"}]
    recipe = make_recipe(
        {
            "data": {"base": "nowhere"},
            "module": {"name": "smallnet", "weights": "none"},
            "strategy": rules,
            "train": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "schedule": "constant"},
        }
    )
    explanation = explain(recipe, 10, 3)
    assert explanation.rates == pytest.approx([0.01] * 6)  # 2 epochs of 3 steps
    rates = {each["stage"]: each["rates"] for each in explanation.as_dict()["parameters"]}
    assert rates["head"] == pytest.approx([0.1, 0.1])
    assert rates["stem"] == pytest.approx([0.0, 0.01])
    assert explanation.as_dict()["steps_per_epoch"] == 3
