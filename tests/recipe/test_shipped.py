"""Recipes come with hubtune, from a clone and in a wheel, and are copied with what describes their data."""

import shutil

import pytest
from support.scripts import ROOT

from hubtune.errors import MachineError, UsageError
from hubtune.recipe import shipped
from hubtune.recipe.load import load_recipe
from hubtune.recipe.shipped import copy_recipe, shipped_recipes


def test_all_recipes_of_the_project_are_there_with_a_sentence():
    recipes = {recipe.name: recipe for recipe in shipped_recipes()}
    assert set(recipes) == {file.stem for file in (ROOT / "recipes").glob("*.yaml")}
    assert recipes["trashnet"].summary == "Six kinds of rubbish, 100 photos each"
    assert recipes["trashnet"].dataset == ROOT / "datasets" / "trashnet.yaml"
    assert recipes["digits"].dataset is None
    assert all(recipe.summary for recipe in recipes.values())


def test_a_copy_is_a_recipe_and_other_files_stay(tmp_path):
    files = copy_recipe("trashnet", tmp_path)
    assert files == [tmp_path / "recipes" / "trashnet.yaml", tmp_path / "datasets" / "trashnet.yaml"]
    assert load_recipe(files[0]).data.base == "datasets/trashnet"
    assert copy_recipe("trashnet.yaml", tmp_path) == files
    files[1].write_text("mine")
    with pytest.raises(UsageError, match=r"datasets/trashnet.yaml is there already"):
        copy_recipe("trashnet", tmp_path)
    assert files[1].read_text() == "mine"
    with pytest.raises(UsageError, match="Did you mean 'trashnet'"):
        copy_recipe("trashnets", tmp_path)


def test_a_wheel_has_them_in_the_package(tmp_path, monkeypatch):
    package = tmp_path / "hubtune"
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    with pytest.raises(MachineError, match="install hubtune again"):
        shipped_recipes()
    for name in ("recipes", "datasets"):
        shutil.copytree(ROOT / name, package / name)
    assert {recipe.file.parent for recipe in shipped_recipes()} == {package / "recipes"}
    project = (ROOT / "pyproject.toml").read_text()
    assert 'recipes = "hubtune/recipes"' in project and 'datasets = "hubtune/datasets"' in project
