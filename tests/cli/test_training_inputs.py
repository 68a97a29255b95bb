"""What `finetune` and `tune` say about what they are given."""

from support.images import draw_tree

from hubtune.cli.training_inputs import make_lists, read_or_default_recipe, say_unused
from hubtune.recipe.load import make_recipe


def test_keys_without_effect_are_named_and_a_divided_source_stays_divided(here, capsys):
    for number, (part, count) in enumerate({"train": 6, "val": 3, "test": 2}.items()):
        draw_tree(here / "parts" / part, {"a": count, "b": count}, seed=number)
    recipe = read_or_default_recipe(
        "parts", ["module=digitnet", "train.epochs=9", "module.trust_code=true"], False
    )
    assert (recipe.train.epochs, recipe.module.trust_code) == (9, False)
    say_unused(recipe)
    assert capsys.readouterr().err == "Not used by strategy frozen: train.epochs\n"
    recipe = make_recipe({"data": {"base": "parts"}, "module": "digitnet", "strategy": "frozen"}, [])
    made, taken_for = make_lists(recipe, "parts", here / "lists")
    assert made.data.base == str(here / "lists")
    assert taken_for == (
        "parts is divided already: training pictures in train, validation pictures in val, test pictures in "
        "test; 2 classes: a, b"
    )
    assert (
        capsys.readouterr().err == f"{taken_for}\nLists: 12 for training, 6 for validation, 4 for the test\n"
    )
