"""Recipes are read from files and from Python, and written back; any other content is a RecipeError."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.errors import RecipeError
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.load import dump_recipe, load_recipe, make_recipe, unused_keys
from hubtune.recipe.rule import Rule
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import RulesStrategy

SHORT = "data: {base: pics}\nmodule: resnet50_imagenet\n"
COMPLETE = Path(__file__).with_name("complete.yaml")


def load(folder, text, *overrides):
    (folder / "r.yaml").write_bytes(text.encode())
    return load_recipe(folder / "r.yaml", overrides)


def refusal(file):
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    return str(caught.value).removeprefix(str(file))


def test_a_short_recipe_is_complete_with_defaults(tmp_path):
    for text in (SHORT, "\ufeff" + SHORT.replace("\n", "\r\n")):  # as Windows writes it
        recipe = load(tmp_path, text)
        assert (recipe.data.base, recipe.module.name, recipe.run) == ("pics", "resnet50_imagenet", None)
        assert (recipe.module.weights, recipe.strategy.name) == ("official", "default_finetune")
        assert recipe.train.epochs == 3


def test_no_and_a_time_stay_text_and_a_list_of_rules_is_a_strategy(tmp_path):
    rules = "strategy:\n- {match: stem, frozen: true}\n- match: '*'\n"
    recipe = load(tmp_path, "data: {base: no, labels: off}\nmodule: on\nrun: 12:30\n" + rules)
    assert [recipe.data.base, recipe.data.labels, recipe.module.name] == ["no", "off", "on"]
    assert recipe.run == "12:30"
    assert recipe.strategy.rules([]) == [Rule(match="stem", frozen=True), Rule(match="*")]


def test_a_missing_file_or_a_folder_names_the_recipes_there(tmp_path):
    for name in ("idol5.yaml", "notes.txt"):
        (tmp_path / name).touch()
    missing = ": there is no such file."
    assert refusal(tmp_path / "idol.yaml") == f"{missing} Did you mean 'idol5.yaml'?"
    assert refusal(tmp_path / "cats") == f"{missing} Recipes there: idol5.yaml"
    advice = " Without a recipe, give a folder of pictures: hubtune finetune pics/"
    assert refusal(tmp_path / "no" / "r.yaml") == f"{missing}{advice}"
    for name in "abcdefg":
        (tmp_path / f"{name}.yml").touch()
    folder = ": this is a folder, and a recipe is a file. Recipes there: "
    assert refusal(tmp_path) == f"{folder}a.yml, b.yml, c.yml, d.yml, e.yml, …"


def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path):
    for content, sentence in (
        (b"a: 1\nb: \xe9t\xe9\n", ":2: this line is not UTF-8; save the file as UTF-8"),
        (SHORT.encode("utf-16"), ": this is not a text file; save it as text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", ": this is not a text file; save it as text in UTF-8"),
        (b"#" * 2_000_000, ": this file cannot be read: it has more than 1,000,000 bytes"),
    ):
        (tmp_path / "r.yaml").write_bytes(content)
        assert refusal(tmp_path / "r.yaml") == sentence


def test_making_a_recipe_expands_a_tilde_and_leaves_the_callers_data_alone(monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, "/home/someone")
    data = {"data": {"base": "~/pics"}, "module": "m", "strategy": [{"match": "*"}]}
    recipe = make_recipe(data, ["run=~/x", "strategy.learning_rate=0.1", "module.weights=none"])
    assert data == {"data": {"base": "~/pics"}, "module": "m", "strategy": [{"match": "*"}]}
    assert recipe.strategy == RulesStrategy(learning_rate=0.1, list=[Rule(match="*")])
    assert (recipe.data.base, recipe.run) == ("/home/someone/pics", "/home/someone/x")


def test_a_dump_is_complete_and_pleasant():
    data = {"data": {"base": "pics"}, "module": "m", "strategy": [{"match": "*"}], "run": "1e-3"}
    dump = dump_recipe(make_recipe(data), "hubtune finetune r.yaml -o 'run=a\nb'")
    keys = re.compile(r"(?<=  augment:\n)(?:    .*\n)+")
    assert all(f"    {key}:" in keys.search(dump)[0] for key in AugmentSettings.model_fields)
    assert keys.sub("", dump) == COMPLETE.read_text(encoding="utf-8")


def test_keys_that_the_strategy_does_not_use_are_named(tmp_path):
    text = SHORT + "strategy: frozen\ntrain: {num_epoch: 5, batch_size: 8, seed: 1, augment: flip}\n"
    assert unused_keys(load(tmp_path, text)) == ["train.epochs", "train.augment"]
    assert unused_keys(load(tmp_path, text, "strategy=default_finetune")) == []


# The home folder of a user whose name holds a NUL cannot be looked up.
characters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = characters.filter(lambda text: text[0] != "~" or "\0" not in text) | st.sampled_from(
    ["no", "1e-3", "0o17", "~", "null", "true", ".inf", "12:30", "a: b", "- x", "*",
     "'", '"', "#", " x ", "x\n", "\ufeff"]
)  # fmt: skip


@settings(max_examples=300)
@given(
    base=texts,
    match=texts,
    share=st.floats(0, 1),
    rate=st.none() | st.floats(0, 10, exclude_min=True),
    seed=st.integers(0, 2**63 - 1),
)
@pytest.mark.slow
def test_a_dump_is_read_back_to_an_equal_recipe(tmp_path_factory, base, match, share, rate, seed):
    data = {"data": {"base": base, "max_bad": share}, "module": base, "run": match}
    rules = [{"match": match, "lr_mult": share}, {"match": base}]
    recipe = make_recipe({**data, "strategy": rules, "train": {"learning_rate": rate, "seed": seed}})
    file = tmp_path_factory.getbasetemp() / "dump.yaml"
    file.write_text(dump_recipe(recipe, command=match), encoding="utf-8")
    assert load_recipe(file) == recipe


VALID = [
    COMPLETE.read_bytes(),
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


LINES = [line for text in VALID for line in text.splitlines(keepends=True)]
INSERTED = st.sampled_from([b"", *PIECES, *LINES]) | st.binary(max_size=4)
# A place, how many bytes are removed there, and what is put in: also whole lines, doubled or out of place.
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), INSERTED), min_size=1, max_size=5)
OVERRIDES = st.text(max_size=20) | st.from_regex(r"(train|strategy|module|data)(\.[a-z_]{1,6})?=.*")


@settings(max_examples=2_000)
@given(content=st.sampled_from(VALID), edits=EDITS, overrides=st.lists(OVERRIDES, max_size=1))
@pytest.mark.slow
def test_a_damaged_recipe_is_a_recipe_or_a_recipe_error(tmp_path_factory, content, edits, overrides):
    for place, removed, inserted in edits:
        start = int(place * len(content))
        content = content[:start] + inserted + content[start + removed :]
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes(content)
    try:
        assert isinstance(load_recipe(file, overrides), Recipe)
    except RecipeError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.startswith((str(file), "-o ")[: 1 + len(overrides)]) and problem.isprintable()
