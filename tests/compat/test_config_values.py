"""Values of a configuration are read by dotted keys, and what nobody read can be listed."""

import pytest

from hubtune.compat.config_values import ConfigValues
from hubtune.errors import ModelError

DATA = {"a": {"b": 3, "c": "0.5", "d": None, "e": False, "f": {"g": []}}, "h": "text"}


def test_values_are_found_and_the_others_are_listed():
    values = ConfigValues(DATA, "file")
    assert (values.take("a.b"), values.number("a.c"), values.text("h")) == (3, 0.5, "text")
    assert values.take("a.x", "default") == values.take("h.x.y", "default") == "default"
    assert values.has("a.f") and not values.has("a.d")
    assert [*values.unread()] == [("a.f.g", [])]  # null and off need no mention
    values.take("a")
    assert [*values.unread()] == []


@pytest.mark.parametrize("value", ["many", [1], True, "nan", float("inf")])
def test_what_is_not_a_number_is_named(value):
    with pytest.raises(ModelError, match=r"file: a\.b is .*, and must be a number"):
        ConfigValues({"a": {"b": value}}, "file").number("a.b")


def test_numbers_keep_their_kind():
    values = ConfigValues({"a": 3, "b": 3.0, "c": "7"}, "file")
    assert [type(values.number(key)) for key in "abc"] == [int, float, int]
