"""Every mistake in a recipe is one sentence: where it is, what is allowed, and the nearest name."""

from pathlib import Path

import pytest
from support.strategies import STRATEGY_NAMES

from hubtune.errors import RecipeError
from hubtune.recipe.load import load_recipe, make_recipe

SHORT = "data: {base: pics}\nmodule: resnet50_imagenet\n"


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """Loads a text as ``r.yaml`` and returns its mistakes, a line each."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides):
        Path("r.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError) as caught:
            load_recipe(Path("r.yaml"), overrides)
        assert caught.value.exit_code == 2
        return "\n".join(caught.value.problems) + "\n"

    return load


def _described():
    """The recipes of ``mistakes.txt``, each with the sentences about it."""
    text = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
    for block in text.replace("STRATEGY_NAMES", STRATEGY_NAMES).removesuffix("\n").split("\n\n"):
        recipe, start, sentences = block.partition("r.yaml:")
        yield recipe, f"{start}{sentences}\n"


@pytest.mark.parametrize(("recipe", "sentences"), [*_described()])
def test_every_mistake_is_a_sentence_in_order_of_place(problems, recipe, sentences):
    assert problems(recipe) == sentences


def test_mistakes_of_overrides_come_after_those_of_the_file(problems):
    assert problems(SHORT + "zzz: 1\n", "train.epoch=3", "foo") == (
        "r.yaml:3:1: unknown key 'zzz'. Allowed: data, module, strategy, train, run, report, reference\n"
        "-o train.epoch=3: unknown key 'train.epoch'. Did you mean 'train.epochs'?\n"
        "-o foo: an override is KEY=VALUE, as in -o train.epochs=5\n"
    )


def test_messages_are_short_printable_and_at_most_a_hundred(problems):
    text = SHORT + '"\\e[2J\\n": 1\ntrain: {augment: "' + "y" * 500 + '\\u202e"}\n'
    assert problems(text) == (
        "r.yaml:3:1: unknown key '\\x1b[2J\\n'. Allowed: data, module, strategy, train, run, report, "
        "reference\n"
        "r.yaml:4:18: train.augment: must be none, flip, crop, standard, strong, or keys under it; "
        f"found the text '{'y' * 60}…'\n"
    )
    text = SHORT + "train:\n" + "".join(f"  unknown{number}: 1\n" for number in range(5_000))
    found = problems(text).splitlines()
    assert len(found) == 101
    assert found[-1] == "r.yaml:1:1: there may be more mistakes: these are the first 100"


def test_python_objects_are_checked_like_files():
    recipe = make_recipe({"data": {"base": Path("pics")}, "module": "resnet50_imagenet"}, ["train.epochs=2"])
    assert (recipe.data.base, recipe.train.epochs) == ("pics", 2)
    train = {"seed": 10**5000, "device": "a\udcff"}
    with pytest.raises(RecipeError) as caught:
        make_recipe({1: 2, "data": {"base": object()}, "module": "m", "train": train}, source="demo")
    assert caught.value.problems == [
        "demo: data.base must be text that is not empty, not an object of the type object",
        "demo: train.seed must be a whole number of at least 0 and below 9223372036854775808, "
        "not a number of very many digits",
        "demo: the text 'a\\udcff' cannot be written as UTF-8",
        "demo: unknown key '1'. Allowed: data, module, strategy, train, run, report, reference",
    ]
