"""Every mistake in a recipe is one sentence: where it is, what is allowed, and the nearest name."""

from pathlib import Path

import pytest
from support.strategies import STRATEGY_NAMES

from hubtune.errors import RecipeError
from hubtune.recipe.introspect import usual_keys
from hubtune.recipe.load import load_recipe, make_recipe
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import TrainSection

SHORT = "data: {base: pics}\nmodule: resnet50_imagenet\n"
WIDTH = "a whole number from 1 to 65536"


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


def test_all_mistakes_are_reported_at_once_in_order_of_place(problems):
    text, expected = (
        Path(__file__).with_name(f"mistakes.{kind}").read_text("utf-8") for kind in ("yaml", "txt")
    )
    found = problems(text, "train.epoch=3", "foo")
    assert found == expected.replace("STRATEGY_NAMES", STRATEGY_NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "r.yaml:1:1: missing key 'data', as in `data: {base: datasets/idol5}`\n"
            "r.yaml:1:1: missing key 'module', as in `module: xception71_imagenet`\n",
        ),
        (
            "data: {train: a.txt}\nmodule: {weights: none}",
            "r.yaml:1:1: missing key 'base' in data, as in `base: datasets/idol5`\n"
            "r.yaml:2:1: missing key 'name' in module, as in `name: xception71_imagenet`\n",
        ),
        ("- a", "r.yaml:1:1: a recipe is keys with values, as in `run: runs/x`, not a list\n"),
        ("x", "r.yaml:1:1: a recipe is keys with values, as in `run: runs/x`, not the text 'x'\n"),
        ("modul: x\ndata: {base: pics\n", "r.yaml:3:1: expected ',' or '}' here\n"),
        (
            "data: {base: ''}\nmodule: x",
            "r.yaml:1:14: data.base must be text that is not empty, not the text ''\n",
        ),
        (SHORT + "train:", "r.yaml:3:7: train is empty: write keys under it, or remove it\n"),
        (
            SHORT + "strategy: {folds: 3}",
            "r.yaml:3:1: missing key 'name' in strategy, as in `name: default_finetune`\n",
        ),
        (
            SHORT + "strategy: rules",
            "r.yaml:3:1: missing key 'list' in strategy, as in `list: [{match: head}]`\n",
        ),
        (
            SHORT + "strategy: []",
            "r.yaml:3:11: strategy.list must be a list of at least 1, each a section of keys, "
            "not an empty list\n",
        ),
        (
            SHORT + "strategy:\n- match: '*'\n- {mach: x, dimensions: 9, frozen: yes}\n- 5\n",
            "r.yaml:5:3: missing key 'match' in item 2 of strategy.list, as in `match: head`\n"
            "r.yaml:5:4: unknown key 'mach' in item 2 of strategy.list. Did you mean 'match'?\n"
            "r.yaml:5:25: dimensions in item 2 of strategy.list must be a whole number from 0 to 8 or null, "
            "not the number 9\n"
            "r.yaml:5:36: frozen in item 2 of strategy.list must be true or false, not the text 'yes'\n"
            "r.yaml:6:3: item 3 of strategy.list must be a section of keys, not the number 5\n",
        ),
        (
            SHORT + "strategy: {name: frozen, fold: 3, weights: x, run: y}",
            "r.yaml:3:26: unknown key 'fold' in strategy frozen. Did you mean 'folds'?\n"
            "r.yaml:3:35: unknown key 'weights' in strategy frozen: 'weights' belongs under module\n"
            "r.yaml:3:47: unknown key 'run' in strategy frozen: 'run' belongs at the top level\n",
        ),
        (
            SHORT + "train: {epochs: 1, num_epoch: 2}",
            "r.yaml:3:20: 'epochs' and 'num_epoch' say the same thing: keep one of them\n",
        ),
        (
            SHORT + "train: {hidden_units: [0, x, null]}\n",
            f"r.yaml:3:24: item 1 of train.hidden_units must be {WIDTH}, not the number 0\n"
            f"r.yaml:3:27: item 2 of train.hidden_units must be {WIDTH}, not the text 'x'\n"
            f"r.yaml:3:30: item 3 of train.hidden_units must be {WIDTH}, not null (nothing)\n",
        ),
        (
            SHORT + "train: {hidden_units: 5}\n",
            f"r.yaml:3:23: train.hidden_units must be a list of at most 16, each {WIDTH}, not the number 5\n",
        ),
        (
            "data: {base: pics, fot: crop}\nmodule: {name: x, weights: w.safetensors}\nstrategy: scratch\n"
            "train: {epochs: 0}\n",
            "r.yaml:1:20: unknown key 'fot' in data. Did you mean 'fit'?\n"
            "r.yaml:2:19: strategy scratch starts from random values, but module.weights names a file: "
            "remove module.weights, or take strategy default_finetune\n"
            "r.yaml:4:17: train.epochs must be a whole number from 1 to 100000, not the number 0\n",
        ),
        (
            SHORT + "strategy: {name: default_finetune, learning_rate: 0.1}\ntrain: {learning_rate: 0.2}\n",
            "r.yaml:4:9: learning_rate is 0.2 in train and 0.1 in the strategy: give one of them\n",
        ),
        (
            SHORT + '"\\e[2J\\n": 1\ntrain: {augment: "' + "y" * 500 + '\\u202e"}\n',
            "r.yaml:3:1: unknown key '\\x1b[2J\\n'. Allowed: data, module, strategy, train, run\n"
            "r.yaml:4:18: train.augment: must be none, flip, crop, standard, strong, or keys under it; "
            f"found the text '{'y' * 60}…'\n",
        ),
    ],
)
def test_one_kind_of_mistake_says(problems, text, expected):
    assert problems(text) == expected


def test_only_the_first_hundred_mistakes_are_reported(problems):
    text = SHORT + "train:\n" + "".join(f"  unknown{number}: 1\n" for number in range(5_000))
    found = problems(text).splitlines()
    assert len(found) == 101
    assert found[-1] == "r.yaml:1:1: there may be more mistakes: these are the first 100"


def test_python_objects_are_checked_like_files():
    recipe = make_recipe({"data": {"base": Path("pics")}, "module": "resnet50_imagenet"}, ["train.epochs=2"])
    assert (recipe.data.base, recipe.train.epochs) == ("pics", 2)
    strategy = [{1: 2, "match": "*"}]
    train = {"seed": 10**5000, "device": "a\udcff", 3: 4}
    data = {1: 2, "data": {"base": object()}, "module": "m", "strategy": strategy, "train": train}
    with pytest.raises(RecipeError) as caught:
        make_recipe(data, source="demo")  # type: ignore[arg-type]
    assert caught.value.problems == [
        "demo: data.base must be text that is not empty, not an object of the type object",
        f"demo: unknown key '1' in item 1 of strategy.list. Allowed: {', '.join(usual_keys(Rule))}",
        "demo: train.seed must be a whole number of at least 0 and below 9223372036854775808, "
        "not a number of very many digits",
        "demo: the text 'a\\udcff' cannot be written as UTF-8",
        f"demo: unknown key '3' in train. Allowed: {', '.join(usual_keys(TrainSection))}",
        "demo: unknown key '1'. Allowed: data, module, strategy, train, run",
    ]
