"""Recipes are read from files and from Python, and written back; any other content is a RecipeError."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubtune.errors import RecipeError
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.load import dump_recipe, load_recipe, make_recipe, unused_keys
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import RulesStrategy

SHORT = "data: {base: pics}\nmodule: resnet50_imagenet\n"


def load(folder: Path, text: str, *overrides: str) -> Any:
    file = folder / "r.yaml"
    file.write_text(text, encoding="utf-8")
    return load_recipe(file, overrides)


def test_a_short_recipe_is_complete_with_defaults(tmp_path):
    recipe = load(tmp_path, SHORT)
    assert recipe.module.name == "resnet50_imagenet"
    assert recipe.module.weights == "official"
    assert recipe.strategy.name == "default_finetune"
    assert recipe.train.epochs == 3
    assert recipe.run is None


def test_no_and_a_time_stay_text(tmp_path):
    recipe = load(tmp_path, "data: {base: no, labels: off}\nmodule: on\nrun: 12:30\n")
    assert (recipe.data.base, recipe.data.labels, recipe.module.name, recipe.run) == (
        "no",
        "off",
        "on",
        "12:30",
    )


def test_a_list_of_rules_is_a_strategy(tmp_path):
    recipe = load(tmp_path, SHORT + "strategy:\n- {match: stem, frozen: true}\n- match: '*'\n")
    assert recipe.strategy.rules([]) == [Rule(match="stem", frozen=True), Rule(match="*")]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbf" + SHORT.replace("\n", "\r\n").encode())
    assert load_recipe(tmp_path / "r.yaml").data.base == "pics"


def test_a_missing_file_names_the_nearest_recipe(tmp_path):
    (tmp_path / "idol5.yaml").write_text(SHORT, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "idol.yaml")
    assert str(caught.value) == f"{tmp_path / 'idol.yaml'}: there is no such file. Did you mean 'idol5.yaml'?"
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "cats")
    assert str(caught.value) == f"{tmp_path / 'cats'}: there is no such file. Recipes there: idol5.yaml"


def test_a_missing_folder_says_what_to_type(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "no" / "r.yaml")
    assert str(caught.value) == (
        f"{tmp_path / 'no' / 'r.yaml'}: there is no such file. "
        "Without a recipe, give a folder of pictures: hubtune finetune pics/"
    )


def test_a_folder_is_no_recipe(tmp_path):
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
def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path, content: bytes, sentence: str):
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert str(caught.value) == f"{file}{sentence}"


def test_making_a_recipe_leaves_the_callers_data_alone():
    data: dict[str, Any] = {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}]}
    recipe = make_recipe(data, ["data.base=x", "strategy.learning_rate=0.1", "module.weights=none"])
    assert data == {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}]}
    assert recipe.strategy == RulesStrategy(learning_rate=0.1, list=[Rule(match="*")])


def test_a_dump_is_complete_and_pleasant():
    recipe = make_recipe(
        {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}], "run": "1e-3"}
    )
    dump = dump_recipe(recipe, "hubtune finetune r.yaml -o 'run=a\nb'")
    keys = re.compile(r"(?<=  augment:\n)(?:    .*\n)+")
    assert all(f"    {key}:" in keys.search(dump)[0] for key in AugmentSettings.model_fields)
    assert keys.sub("", dump) == (
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
    tmp_path_factory,
    base: str,
    match: str,
    run: str | None,
    share: float,
    rate: float | None,
    seed: int,
):
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


def test_keys_that_the_strategy_does_not_use_are_named(tmp_path):
    text = SHORT + "strategy: frozen\ntrain: {num_epoch: 5, batch_size: 8, seed: 1, augment: flip}\n"
    assert unused_keys(load(tmp_path, text)) == ["train.epochs", "train.augment"]
    assert unused_keys(load(tmp_path, text, "strategy=default_finetune")) == []


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    recipe = make_recipe({"data": {"base": "~/pics"}, "module": "resnet50_imagenet", "run": "~/runs/x"})
    assert (recipe.data.base, recipe.run) == ("/home/someone/pics", "/home/someone/runs/x")


VALID = [
    b"""\
# command: hubtune finetune recipes/idol5.yaml
data:   {base: datasets/idol5}
module: xception71_imagenet
strategy: default_finetune
train:  {epochs: 5, batch_size: 40, learning_rate: 1.0e-4, eval_interval: 10}
run:    runs/idol5
""",
    b"""\
data:
  base: 'C:\\pics'
  fit: whole
  max_bad: "5%"
module: {name: "paddle.vision:mobilenet_v2", weights: none}
strategy:
- {match: stem, frozen: true}
- match: '*'
  lr_mult: .5
train: {num_epoch: 1, device: gpu:0, seed: 0x1F}
""",
]
PIECES = [
    *(mark.encode() for mark in "\t * &a *a ! % [ ] { } | > ' \" \\ \\U \\ud800 <<: ~ # ,".split(" ")),
    *(mark.encode() for mark in "\r é \x85 \u2028 \ufeff 😀".split(" ")),
    *(number.encode() for number in (".nan", ".inf", "1e999", "0x", "9" * 400)),
    b": ", b"- ", b"? ", b"\n---\n", b"\n...\n", b"!!python/object:os.system ", b"\0", b"\xff", b"epochs: 3",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a valid recipe with a few bytes or lines deleted, doubled, moved or put in."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        lines = text.splitlines(keepends=True)
        change = draw(
            st.sampled_from(
                ["delete", "double", "put in", "bytes", "delete line", "double line", "move line"]
            )
        )
        if change == "delete":
            text = text[:start] + text[end:]
        elif change == "double":
            text = text[:end] + text[start:]
        elif change == "put in":
            text = text[:start] + draw(st.sampled_from(PIECES)) + text[start:]
        elif change == "bytes":
            text = text[:start] + draw(st.binary(max_size=4)) + text[end:]
        elif lines:
            line = lines.pop(draw(st.integers(0, len(lines) - 1)))
            put = {"delete line": [], "double line": [line, line], "move line": [line]}[change]
            at = draw(st.integers(0, len(lines)))
            text = b"".join(lines[:at] + put + lines[at:])
    return text


@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=mutated())
def test_a_damaged_recipe_is_a_recipe_or_a_recipe_error(tmp_path_factory, content: bytes):
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes(content)
    try:
        assert isinstance(load_recipe(file), Recipe)
    except RecipeError as error:
        assert error.problems
        assert all(problem.startswith(str(file)) and problem.isprintable() for problem in error.problems)


@settings(max_examples=300, deadline=None)
@given(override=st.text(max_size=20) | st.from_regex(r"(train|strategy|module|data)(\.[a-z_]{1,6})?=.*"))
def test_any_override_gives_a_recipe_or_a_recipe_error(tmp_path_factory, override: str):
    file = tmp_path_factory.getbasetemp() / "valid.yaml"
    file.write_bytes(VALID[0])
    try:
        assert isinstance(load_recipe(file, [override]), Recipe)
    except RecipeError as error:
        assert all(problem.startswith("-o ") for problem in error.problems)
