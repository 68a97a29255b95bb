"""Addresses in a recipe are refused by one sentence, but for the places that may be in a bucket."""

from pathlib import Path

import pytest

from hubtune.errors import RecipeError, UsageError
from hubtune.recipe.load import make_recipe
from hubtune.recipe.schema import DataSection, ModuleSection, Recipe, RunConfig

RECIPE = {"data": {"base": "pics"}, "module": "smallnet"}
BUCKETS = ("run", "data.base")
OTHERS = {"data.encoding", "data.labels_are", "data.max_bad", "data.fit", "data.bits"}
LOCAL = ("module.name", "module.weights", "data.train", "data.validate", "data.test", "data.labels")


def test_every_place_of_a_recipe_is_tested_here():
    """A field for a path that takes any text would read and make local folders called ``s3:``."""
    texts = {
        f"{section}.{field.alias or name}"
        for section, model in (("data", DataSection), ("module", ModuleSection))
        for name, field in model.model_fields.items()
        if field.annotation in (str, str | None) or "str" in str(field.annotation)
    }
    assert texts - OTHERS <= {*LOCAL, *BUCKETS}
    assert "run" in Recipe.model_fields and "checkpoint_dir" in RunConfig.model_fields


@pytest.mark.parametrize("key", LOCAL)
@pytest.mark.parametrize("address", ["s3://b/x", "https://h/x", "s3:/b/x"])
def test_addresses_are_refused_where_a_path_is_meant(key, address):
    with pytest.raises(RecipeError, match="is an address, and this must be a path on this machine") as caught:
        make_recipe(RECIPE, [f"{key}={address}"])
    assert key in str(caught.value)


@pytest.mark.parametrize("key", BUCKETS)
def test_places_that_may_be_in_a_bucket_take_its_address_and_no_other(key):
    recipe = make_recipe(RECIPE, [f"{key}=oss://b/x"])
    assert "oss://b/x" in (recipe.run, recipe.data.base)
    for address in ("gs://b/x", "https://h/x", "s3:/b/x"):
        with pytest.raises(RecipeError, match="or an address s3://, oss://, cos://, bos://"):
            make_recipe(RECIPE, [f"{key}={address}"])
    for address, words in (("s3://k:CANARY@b/x", "holds a password"), ("s3://", "is no address in a bucket")):
        with pytest.raises(RecipeError, match=words) as caught:
            make_recipe(RECIPE, [f"{key}={address}"])
        assert "CANARY" not in str(caught.value)


def test_python_is_refused_the_same_and_a_path_stays_one():
    with pytest.raises(UsageError, match=r"RunConfig.checkpoint_dir: gs://b is an address"):
        RunConfig(checkpoint_dir="gs://b")
    with pytest.raises(UsageError, match="is an address"):
        RunConfig(checkpoint_dir=Path("s3://b/x"))
    assert RunConfig(checkpoint_dir="s3://b/x").checkpoint_dir == "s3://b/x"
    assert RunConfig(checkpoint_dir=Path("~/x")).checkpoint_dir == str(Path.home() / "x")
