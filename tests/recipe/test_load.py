"""Recipes from files and from Python: what they become, and every sentence about their mistakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.errors import RecipeError
from hubtune.recipe.introspect import usual_keys
from hubtune.recipe.load import dump_recipe, load_recipe, make_recipe, unused_keys
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import TrainSection
from hubtune.recipe.strategies import FrozenStrategy, RulesStrategy

SHORT = "data: {base: pics}\nmodule: resnet50_imagenet\n"
WIDTH = "a whole number from 1 to 65536"

Problems = Callable[..., list[str]]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """Load a text as ``r.yaml`` and return what is wrong with it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str) -> list[str]:
        Path("r.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError) as caught:
            load_recipe(Path("r.yaml"), overrides)
        assert caught.value.exit_code == 2
        return caught.value.problems

    return load


def load(folder: Path, text: str, *overrides: str) -> Any:
    file = folder / "r.yaml"
    file.write_text(text, encoding="utf-8")
    return load_recipe(file, overrides)


def test_a_short_recipe_is_complete_with_defaults(tmp_path: Path) -> None:
    recipe = load(tmp_path, SHORT)
    assert recipe.module.name == "resnet50_imagenet"
    assert recipe.module.weights == "official"
    assert recipe.strategy.name == "default_finetune"
    assert recipe.train.epochs == 3
    assert recipe.run is None


def test_no_and_a_time_stay_text(tmp_path: Path) -> None:
    recipe = load(tmp_path, "data: {base: no, labels: off}\nmodule: on\nrun: 12:30\n")
    assert (recipe.data.base, recipe.data.labels, recipe.module.name, recipe.run) == (
        "no",
        "off",
        "on",
        "12:30",
    )


def test_a_list_of_rules_is_a_strategy(tmp_path: Path) -> None:
    recipe = load(tmp_path, SHORT + "strategy:\n- {match: stem, frozen: true}\n- match: '*'\n")
    assert recipe.strategy.rules([]) == [Rule(match="stem", frozen=True), Rule(match="*")]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbf" + SHORT.replace("\n", "\r\n").encode())
    assert load_recipe(tmp_path / "r.yaml").data.base == "pics"


def test_all_mistakes_are_reported_at_once_in_order_of_place(problems: Problems) -> None:
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
        "r.yaml:8:11: strategy must be one of default_finetune, default, l2sp, adam_weight_decay, ulmfit, "
        "combined, scratch, rules, frozen, last_stage, from_frozen, not the "
        "text 'defalt_finetune'. Did you mean 'default_finetune'?",
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


def test_mistakes_in_rules_name_the_item(problems: Problems) -> None:
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
def test_one_kind_of_mistake_says(problems: Problems, text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_impossible_combinations_are_found_beside_other_mistakes(problems: Problems) -> None:
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


def test_two_different_rates_are_refused(problems: Problems) -> None:
    text = SHORT + "strategy: {name: default_finetune, learning_rate: 0.1}\ntrain: {learning_rate: 0.2}\n"
    assert problems(text) == [
        "r.yaml:4:9: learning_rate is 0.2 in train and 0.1 in the strategy: give one of them"
    ]


def test_only_the_first_hundred_mistakes_are_told(problems: Problems) -> None:
    found = problems(SHORT + "train:\n" + "".join(f"  unknown{number}: 1\n" for number in range(5_000)))
    assert len(found) == 101
    assert found[-1] == "r.yaml:1:1: there may be more mistakes: these are the first 100"


def test_messages_are_short_and_show_control_characters_escaped(problems: Problems) -> None:
    text = SHORT + '"\\e[2J\\n": 1\ntrain: {augment: "' + "y" * 500 + '\\u202e"}\n'
    assert problems(text) == [
        "r.yaml:3:1: unknown key '\\x1b[2J\\n'. Allowed: data, module, strategy, train, run",
        "r.yaml:4:18: train.augment: must be none, flip, crop, standard, strong, or keys under it; "
        f"found the text '{'y' * 60}…'",
    ]


def test_a_syntax_mistake_stands_alone(problems: Problems) -> None:
    assert problems("modul: x\ndata: {base: pics\n") == ["r.yaml:3:1: expected ',' or '}' here"]


def test_a_missing_file_names_the_nearest_recipe(tmp_path: Path) -> None:
    (tmp_path / "idol5.yaml").write_text(SHORT, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "idol.yaml")
    assert str(caught.value) == f"{tmp_path / 'idol.yaml'}: there is no such file. Did you mean 'idol5.yaml'?"
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "cats")
    assert str(caught.value) == f"{tmp_path / 'cats'}: there is no such file. Recipes there: idol5.yaml"


def test_a_missing_folder_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "no" / "r.yaml")
    assert str(caught.value) == (
        f"{tmp_path / 'no' / 'r.yaml'}: there is no such file. "
        "Without a recipe, give a folder of pictures: hubtune finetune pics/"
    )


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.yml").touch()
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: this is a folder, and a recipe is a file. "
        "Recipes there: a.yml, b.yml, c.yml, d.yml, e.yml, …"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: 1\nb: \xe9t\xe9\n", ":2: this line is not UTF-8; save the file as UTF-8"),
        (SHORT.encode("utf-16"), ": this is not a text file; save it as text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", ": this is not a text file; save it as text in UTF-8"),
        (b"#" * 2_000_000, ": this file has 2,000,000 bytes, and may have at most 1,000,000"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert str(caught.value) == f"{file}{sentence}"


def test_python_objects_are_checked_like_files() -> None:
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


def test_text_that_utf8_cannot_hold_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        make_recipe({"data": {"base": "a\udcff"}, "module": "m"})
    assert caught.value.problems == ["recipe: the text 'a\\udcff' cannot be written as UTF-8"]


def test_making_a_recipe_leaves_the_callers_data_alone() -> None:
    data: dict[str, Any] = {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}]}
    recipe = make_recipe(data, ["data.base=x", "strategy.learning_rate=0.1", "module.weights=none"])
    assert data == {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}]}
    assert recipe.strategy == RulesStrategy(learning_rate=0.1, list=[Rule(match="*")])


def test_a_dump_is_complete_and_pleasant() -> None:
    recipe = make_recipe(
        {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}], "run": "1e-3"}
    )
    assert dump_recipe(recipe, "hubtune finetune r.yaml -o 'run=a\nb'") == (
        """\
# command: hubtune finetune r.yaml -o 'run=a\\nb'
data:
  base: pics
  train: null
  validate: null
  test: null
  labels: null
  fit: null
  size: null
  channels: 3
  bad_pictures: skip
  max_bad: 1%
  workers: 2
module:
  name: m
  weights: official
  trust_code: false
strategy:
  name: rules
  learning_rate: null
  list:
  - match: '*'
    dimensions: null
    lr_mult: 1.0
    weight_decay: 0.0
    decoupled_decay: 0.0
    l2sp: 0.0
    frozen: false
    frozen_epochs: 0
    frozen_steps: 0
train:
  epochs: 3
  batch_size: 32
  micro_batch: null
  learning_rate: null
  optimizer:
    name: auto
    momentum: 0.9
    nesterov: false
    beta1: 0.9
    beta2: 0.999
    epsilon: 1.0e-08
    trust: 0.001
  schedule:
    name: auto
  clip: null
  loss:
    name: cross_entropy
    label_smoothing: 0.0
    gamma: 2.0
  balance: none
  dropout: 0.0
  ema: null
  average_best: null
  early_stopping: null
  amp: auto
  loss_scale: dynamic
  eval_interval: 100
  log_interval: 10
  save_ckpt_interval: null
  batch_norm: auto
  augment:
    crop: null
    aspect:
    - 0.75
    - 1.3333333333333333
    flip: 0.0
    brightness: 0.0
    contrast: 0.0
    saturation: 0.0
    hue: 0.0
    rotate: 0.0
    randaugment: 0
    magnitude: 5.0
    erase: 0.0
    mixup: 0.0
    cutmix: 0.0
  hidden_units: []
  seed: 0
  device: auto
  engine: auto
run: '1e-3'
"""
    )


# The home folder of a user whose name holds a NUL cannot be looked up.
characters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = characters.filter(lambda text: text[0] != "~" or "\0" not in text) | st.sampled_from(
    ["no", "1e-3", "0o17", "~", "null", "true", ".inf", "12:30", "a: b", "- x", "*",
     "'", '"', "#", " x ", "x\n", "\ufeff"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    base=texts,
    match=texts,
    run=st.none() | texts,
    share=st.floats(0, 1),
    rate=st.none() | st.floats(0, 10, exclude_min=True),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_dump_is_read_back_to_an_equal_recipe(
    tmp_path_factory: pytest.TempPathFactory,
    base: str,
    match: str,
    run: str | None,
    share: float,
    rate: float | None,
    seed: int,
) -> None:
    recipe = make_recipe(
        {
            "data": {"base": base, "max_bad": share},
            "module": base,
            "strategy": [{"match": match, "lr_mult": share}, {"match": base}],
            "train": {"learning_rate": rate, "seed": seed},
            "run": run,
        }
    )
    file = tmp_path_factory.getbasetemp() / "dump.yaml"
    file.write_text(dump_recipe(recipe, command=match), encoding="utf-8")
    assert load_recipe(file) == recipe


def test_keys_that_the_strategy_does_not_use_are_named(tmp_path: Path) -> None:
    text = SHORT + "strategy: frozen\ntrain: {num_epoch: 5, batch_size: 8, seed: 1, augment: flip}\n"
    assert unused_keys(load(tmp_path, text)) == ["train.epochs", "train.augment"]
    assert unused_keys(load(tmp_path, text, "strategy=default_finetune")) == []


def test_every_train_key_that_a_strategy_uses_exists() -> None:
    train = make_recipe({"data": {"base": "x"}, "module": "m"}).train
    assert FrozenStrategy.train_keys is not None
    assert set(type(train).model_fields) >= FrozenStrategy.train_keys


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    recipe = make_recipe({"data": {"base": "~/pics"}, "module": "resnet50_imagenet", "run": "~/runs/x"})
    assert (recipe.data.base, recipe.run) == ("/home/someone/pics", "/home/someone/runs/x")
