"""Overrides: ``a.b=value`` on every form of recipe."""

import pytest

from hubtune.errors import RecipeError
from hubtune.recipe.load import make_recipe
from hubtune.recipe.strategies import DefaultFinetuneStrategy


def recipe(*overrides, **sections):
    return make_recipe({"data": {"base": "pics"}, "module": "m", **sections}, overrides)


def test_short_forms_and_defaults_grow():
    grown = recipe("module.weights=w.pdparams").module
    assert (grown.name, grown.weights, grown.trust_code) == ("m", "w.pdparams", False)
    for sections in ({}, {"strategy": "default_finetune"}, {"strategy": None}):
        strategy = recipe("strategy.regularization_coeff=0", **sections).strategy
        assert strategy == DefaultFinetuneStrategy(regularization_coeff=0.0)


def test_a_section_is_made_or_replaced_and_the_last_override_counts_in_whatever_spelling():
    assert recipe("train.epochs=7").train.epochs == 7
    assert recipe("train={epochs: 7, seed: 1}", train={"epochs": 2, "batch_size": 4}).train.batch_size == 32
    assert recipe("train.epochs=1", "train.num_epoch=2", train={"num_epoch": 3}).train.epochs == 2


def test_text_needs_no_quotes_unless_it_is_a_number():
    for text in (r"C:\pics\new", "runs/x", "a=b", "a: b #1", "*x", "!x", "no"):
        assert recipe(f"run={text}").run == text
    for written, text in ((" x ", "x"), ('"2024"', "2024"), ("'[x]'", "[x]"), ("", None), ("null", None)):
        assert recipe(f"run={written}", run="x").run == text


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.epoch=3", "unknown key 'train.epoch'. Did you mean 'train.epochs'?"),
        ("train={epoch: 3}", "unknown key 'train.epoch'. Did you mean 'train.epochs'?"),
        ("trian.epochs=3", "unknown key 'trian'. Did you mean 'train'?"),
        ("epochs=3", "unknown key 'epochs': 'epochs' belongs under train"),
        ("train.epochs", "an override is KEY=VALUE, as in -o train.epochs=5"),
        ("train..epochs=3", "an override is KEY=VALUE, as in -o train.epochs=5"),
        ("train.epochs=0", "train.epochs must be a whole number from 1 to 100000, not the number 0"),
        ("train.epochs.x=3", "train.epochs must be a whole number from 1 to 100000, not a section of keys"),
        ("run=2024", "run must be text or null, not the number 2024; quotes make it text"),
        ("run=[1", "expected ',' or ']' here"),
        ("run=[!!str 1]", "tags (!!str) are not allowed here: remove it"),
        ("run=\udcff", "an override must be text in UTF-8"),
        (
            "module.weights=w.pdparams",  # an impossible combination
            "strategy scratch starts from random values, but module.weights names a file: remove "
            "module.weights, or take strategy default_finetune",
        ),
    ],
)
def test_a_mistake_names_the_override(override, problem):
    with pytest.raises(RecipeError) as caught:
        recipe(override, strategy="scratch")
    assert caught.value.problems == [f"-o {override}: {problem}".replace("\udcff", r"\udcff")]
