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
    """Loads a text as ``r.yaml`` and returns its mistakes."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides):
        Path("r.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError) as caught:
            load_recipe(Path("r.yaml"), overrides)
        assert caught.value.exit_code == 2
        return caught.value.problems

    return load


def test_all_mistakes_are_reported_at_once_in_order_of_place(problems):
    text = """\
data:
  base: pics
  fit: cropp
  max_bad: some
  workers: 0
  base: other
module: 5
strategy: defalt_finetune
train:
  learnig_rate: 1e-3
  batch_size: 4.5
  learning_rate: .inf
  device: gup
  epochs: no
  seed: *seed
epochs: 3
epoch: 3
name: x
modul: x
zzz: 1
run: 2024
"""
    assert problems(text, "train.epoch=3", "foo") == [
        "r.yaml:3:8: data.fit must be one of crop, whole, pad, stretch or null, not the text 'cropp'. "
        "Did you mean 'crop'?",
        "r.yaml:4:12: data.max_bad: not a share between 0 and 1 (or 0% and 100%); found the text 'some'",
        "r.yaml:5:12: data.workers must be a whole number from 1 to 64, not the number 0",
        "r.yaml:6:3: the key 'base' is given twice (first on line 2): keep one",
        "r.yaml:7:9: module must be a name or a section of keys, not the number 5",
        f"r.yaml:8:11: strategy must be one of {STRATEGY_NAMES}, not the text 'defalt_finetune'. "
        "Did you mean 'default_finetune'?",
        "r.yaml:10:3: unknown key 'learnig_rate' in train. Did you mean 'learning_rate'?",
        "r.yaml:11:15: train.batch_size must be a whole number from 1 to 65536 or auto, not the number 4.5",
        "r.yaml:12:18: train.learning_rate must be a number above 0 and at most 10 or auto or null, "
        "not the number inf",
        "r.yaml:13:11: train.device must be auto, cpu, gpu or gpu:<number>, not the text 'gup'. "
        "Did you mean 'gpu'?",
        "r.yaml:14:11: train.epochs must be a whole number from 1 to 100000, not the text 'no'",
        "r.yaml:15:9: aliases (*seed) are not allowed here: write the value out, "
        "or put it in quotes if it is text: '*seed'",
        "r.yaml:16:1: unknown key 'epochs': 'epochs' belongs under train",
        "r.yaml:17:1: unknown key 'epoch'. Did you mean 'train.epochs'?",
        "r.yaml:18:1: unknown key 'name': 'name' belongs under module or strategy",
        "r.yaml:19:1: unknown key 'modul'. Did you mean 'module'?",
        "r.yaml:20:1: unknown key 'zzz'. Allowed: data, module, strategy, train, run",
        "r.yaml:21:6: run must be text or null, not the number 2024; quotes make it text",
        "-o train.epoch=3: unknown key 'train.epoch'. Did you mean 'train.epochs'?",
        "-o foo: an override is KEY=VALUE, as in -o train.epochs=5",
    ]


def test_mistakes_in_rules_name_the_item(problems):
    assert problems(SHORT + "strategy:\n- match: '*'\n- {mach: x, lr_mult: -1, frozen: yes}\n- 5\n") == [
        "r.yaml:5:3: missing key 'match' in item 2 of strategy.list, as in `match: head`",
        "r.yaml:5:4: unknown key 'mach' in item 2 of strategy.list. Did you mean 'match'?",
        "r.yaml:5:22: lr_mult in item 2 of strategy.list must be a number of at least 0, not the number -1",
        "r.yaml:5:34: frozen in item 2 of strategy.list must be true or false, not the text 'yes'",
        "r.yaml:6:3: item 3 of strategy.list must be a section of keys, not the number 5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            [
                "r.yaml:1:1: missing key 'data', as in `data: {base: datasets/idol5}`",
                "r.yaml:1:1: missing key 'module', as in `module: xception71_imagenet`",
            ],
        ),
        (
            "data: {train: a.txt}\nmodule: {weights: none}",
            [
                "r.yaml:1:1: missing key 'base' in data, as in `base: datasets/idol5`",
                "r.yaml:2:1: missing key 'name' in module, as in `name: xception71_imagenet`",
            ],
        ),
        ("- a", ["r.yaml:1:1: a recipe is keys with values, as in `run: runs/x`, not a list"]),
        (
            "some text",
            ["r.yaml:1:1: a recipe is keys with values, as in `run: runs/x`, not the text 'some text'"],
        ),
        (SHORT + "train:", ["r.yaml:3:7: train is empty: write keys under it, or remove it"]),
        (
            SHORT + "strategy: {folds: 3}",
            ["r.yaml:3:1: missing key 'name' in strategy, as in `name: default_finetune`"],
        ),
        (
            SHORT + "strategy: rules",
            ["r.yaml:3:1: missing key 'list' in strategy, as in `list: [{match: head}]`"],
        ),
        (
            SHORT + "strategy: []",
            [
                "r.yaml:3:11: strategy.list must be a list of at least 1, each a section of keys, "
                "not an empty list"
            ],
        ),
        (
            SHORT + "strategy: {name: frozen, fold: 3, weights: x, run: y}",
            [
                "r.yaml:3:26: unknown key 'fold' in strategy frozen. Did you mean 'folds'?",
                "r.yaml:3:35: unknown key 'weights' in strategy frozen: 'weights' belongs under module",
                "r.yaml:3:47: unknown key 'run' in strategy frozen: 'run' belongs at the top level",
            ],
        ),
        (
            SHORT + "train: {epochs: 1, num_epoch: 2}",
            ["r.yaml:3:20: 'epochs' and 'num_epoch' say the same thing: keep one of them"],
        ),
        (
            SHORT + "train: {hidden_units: [0, x, null]}\n",
            [
                f"r.yaml:3:24: item 1 of train.hidden_units must be {WIDTH}, not the number 0",
                f"r.yaml:3:27: item 2 of train.hidden_units must be {WIDTH}, not the text 'x'",
                f"r.yaml:3:30: item 3 of train.hidden_units must be {WIDTH}, not null (nothing)",
            ],
        ),
        (
            SHORT + "train: {hidden_units: 5}\n",
            [f"r.yaml:3:23: train.hidden_units must be a list of at most 16, each {WIDTH}, not the number 5"],
        ),
        (
            "data: {base: ''}\nmodule: x",
            ["r.yaml:1:14: data.base must be text that is not empty, not the text ''"],
        ),
    ],
)
def test_one_kind_of_mistake_says(problems, text, expected):
    assert problems(text) == expected


def test_impossible_combinations_are_found_beside_other_mistakes(problems):
    text = """\
data: {base: pics, fot: crop}
module:
  name: resnet50_imagenet
  weights: w.safetensors
strategy: scratch
train: {epochs: 0}
"""
    assert problems(text) == [
        "r.yaml:1:20: unknown key 'fot' in data. Did you mean 'fit'?",
        "r.yaml:4:3: strategy scratch starts from random values, but module.weights names a file: "
        "remove module.weights, or take strategy default_finetune",
        "r.yaml:6:17: train.epochs must be a whole number from 1 to 100000, not the number 0",
    ]


def test_two_different_rates_are_refused(problems):
    text = SHORT + "strategy: {name: default_finetune, learning_rate: 0.1}\ntrain: {learning_rate: 0.2}\n"
    assert problems(text) == [
        "r.yaml:4:9: learning_rate is 0.2 in train and 0.1 in the strategy: give one of them"
    ]


def test_only_the_first_hundred_mistakes_are_reported(problems):
    found = problems(SHORT + "train:\n" + "".join(f"  unknown{number}: 1\n" for number in range(5_000)))
    assert len(found) == 101
    assert found[-1] == "r.yaml:1:1: there may be more mistakes: these are the first 100"


def test_messages_are_short_and_show_control_characters_escaped(problems):
    text = SHORT + '"\\e[2J\\n": 1\ntrain: {augment: "' + "y" * 500 + '\\u202e"}\n'
    assert problems(text) == [
        "r.yaml:3:1: unknown key '\\x1b[2J\\n'. Allowed: data, module, strategy, train, run",
        "r.yaml:4:18: train.augment: must be none, flip, crop, standard, strong, or keys under it; "
        f"found the text '{'y' * 60}…'",
    ]


def test_a_syntax_mistake_stands_alone(problems):
    assert problems("modul: x\ndata: {base: pics\n") == ["r.yaml:3:1: expected ',' or '}' here"]


def test_python_objects_are_checked_like_files():
    recipe = make_recipe({"data": {"base": Path("pics")}, "module": "resnet50_imagenet"}, ["train.epochs=2"])
    assert (recipe.data.base, recipe.train.epochs) == ("pics", 2)
    data = {
        1: 2,
        "data": {"base": object()},
        "module": "m",
        "strategy": [{1: 2, "match": "*"}],
        "train": {"seed": 10**5000, 3: 4},
    }
    with pytest.raises(RecipeError) as caught:
        make_recipe(data, source="demo")  # type: ignore[arg-type]
    assert caught.value.problems == [
        "demo: data.base must be text that is not empty, not an object of the type object",
        f"demo: unknown key '1' in item 1 of strategy.list. Allowed: {', '.join(usual_keys(Rule))}",
        "demo: train.seed must be a whole number of at least 0 and below 9223372036854775808, "
        "not a number of very many digits",
        f"demo: unknown key '3' in train. Allowed: {', '.join(usual_keys(TrainSection))}",
        "demo: unknown key '1'. Allowed: data, module, strategy, train, run",
    ]


def test_text_that_utf8_cannot_hold_is_refused():
    with pytest.raises(RecipeError) as caught:
        make_recipe({"data": {"base": "a\udcff"}, "module": "m"})
    assert caught.value.problems == ["recipe: the text 'a\\udcff' cannot be written as UTF-8"]
