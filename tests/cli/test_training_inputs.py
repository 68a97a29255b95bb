"""What `finetune` and `tune` say about what they are given."""

import pytest
from support.images import draw_tree

from hubtune.cli.training_inputs import make_lists, read_or_default_recipe, say_recipe, use_lists
from hubtune.recipe.load import make_recipe


@pytest.fixture
def pics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_tree(tmp_path / "pics", {"a": 10, "b": 10})
    return "pics"


def _recipe():
    return make_recipe({"data": {"base": "pics"}, "module": "digitnet", "strategy": "frozen"}, [])


def test_keys_without_effect_are_named(pics, capsys):
    recipe = read_or_default_recipe(pics, ["module.name=digitnet", "train.epochs=9"])
    assert recipe.train.epochs == 9
    assert capsys.readouterr().err == "Not used by strategy frozen: train.epochs\n"


def test_new_lists_are_made_and_described_and_a_divided_source_stays_divided(pics, tmp_path, capsys):
    recipe = make_lists(_recipe(), pics, tmp_path / "lists")
    assert recipe.data.base == str(tmp_path / "lists")
    assert len((tmp_path / "lists" / "train_list.txt").read_text().splitlines()) == 14
    line = "No lists for pics yet: 14 for training, 2 for validation, 4 for the test"
    assert f"{line} (to choose yourself: hubtune split pics --val 20)" in capsys.readouterr().err
    for number, (part, count) in enumerate({"train": 6, "val": 3, "test": 2}.items()):
        draw_tree(tmp_path / "parts" / part, {"a": count, "b": count}, seed=number)
    make_lists(_recipe(), "parts", tmp_path / "lists")
    divided = "parts is divided already: 12 for training, 6 for validation, 4 for the test"
    assert divided in capsys.readouterr().err


def test_the_recipe_is_named_on_one_line(capsys):
    say_recipe(use_lists(_recipe(), "elsewhere"))
    assert capsys.readouterr().err == "Data: elsewhere; module: digitnet; strategy: frozen\n"
