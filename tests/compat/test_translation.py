"""A translation is a recipe file that says what it leaves out."""

import pytest

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.translation import LeftOut, Translation
from hubtune.errors import RecipeError
from hubtune.recipe.load import load_recipe

RECIPE = {"data": {"base": "pics"}, "module": {"name": "digitnet"}, "train": {}}


def test_what_was_not_read_is_left_out_with_a_reason(tmp_path):
    translation = Translation("old.yaml", {"b": "not needed"}, dict(RECIPE))
    translation.leave_out("c", 3, "too many")
    translation.finish(ConfigValues({"a": {"x": 1}, "b": {"y": 2, "z": 3}, "c": 3}, "old.yaml"))
    assert translation.left_out == [
        LeftOut("c", 3, "too many"),
        LeftOut("a.x", 1, "hubtune has no such setting"),
        LeftOut("b", "", "not needed"),
    ]
    text = translation.as_yaml()
    assert "#   a.x (1): hubtune has no such setting\n#   b: not needed\n" in text
    file = tmp_path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    assert load_recipe(file).data.base == "pics"
    assert "train" not in translation.recipe


def test_hostile_text_stays_in_its_comment():
    translation = Translation("a\nb.yaml", {}, dict(RECIPE))
    translation.finish(ConfigValues({"x\ny": "1\n2\x1b[0m"}, "old.yaml"))
    comments = [line for line in translation.as_yaml().split("\n") if line.startswith("#")]
    assert len(comments) == 3
    assert "\x1b" not in "".join(comments)


def test_a_value_that_no_recipe_takes_is_refused():
    translation = Translation("old.yaml", {}, {**RECIPE, "train": {"epochs": -1}})
    with pytest.raises(RecipeError, match=r"old\.yaml: train\.epochs must be"):
        translation.finish(ConfigValues({}, "old.yaml"))
