"""Descriptions of the values that a field accepts come from its type and limits."""

from typing import Annotated, Literal

from pydantic import Field

from hubtune.recipe.base import Settings
from hubtune.recipe.introspect import describe_field, usual_keys
from hubtune.recipe.schema import Recipe, TrainSection


class Example(Settings):
    count: int = Field(1, ge=1, le=9)
    rate: float | None = Field(None, gt=0)
    name: str = Field("x", min_length=1)
    word: Literal["a", "b"] = "a"
    pair: list[Annotated[int, Field(ge=0)]] = Field([1, 2], min_length=2, max_length=2)
    items: list[bool] = Field([], max_length=5)


def test_fields_are_described_by_type_limits_pattern_and_example():
    assert {key: describe_field(field) for key, field in usual_keys(Example).items()} == {
        "count": "a whole number from 1 to 9",
        "rate": "a number above 0 or null",
        "name": "text that is not empty",
        "word": "one of a, b",
        "pair": "a list of 2, each a whole number of at least 0",
        "items": "a list of at most 5, each true or false",
    }
    assert describe_field(Recipe.model_fields["module"]) == "a name or a section of keys"
    assert describe_field(TrainSection.model_fields["device"]) == "auto, cpu, gpu or gpu:<number>"
