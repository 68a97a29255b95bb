"""Descriptions of the values that a field accepts come from its type and limits."""

from hubtune.recipe.introspect import describe_field, usual_keys
from hubtune.recipe.schema import Recipe, TrainSection


def test_fields_are_described_by_type_limits_pattern_and_example():
    fields = usual_keys(TrainSection)
    for key, description in {
        "epochs": "a whole number from 1 to 100000",
        "ema": "a number above 0 and below 1 or null",
        "balance": "one of none, auto, weights, sampler",
        "hidden_units": "a list of at most 16, each a whole number from 1 to 65536",
        "device": "auto, cpu, gpu, gpu:<number>, or gpu:0,1 for a process on each of these",
    }.items():
        assert describe_field(fields[key]) == description
    assert describe_field(Recipe.model_fields["module"]) == "a name or a section of keys"
