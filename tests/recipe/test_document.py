"""A document's locations follow its values when short forms grow and values are set or removed."""

from hubtune.recipe.document import Location, RecipeDocument
from hubtune.storage.yaml_reader import parse_yaml

TEXT = "module: m\nstrategy:\n- match: head\ntrain: {augment: flip, epochs: 2}\n"


def test_locations_follow_values_that_grow_and_change_while_the_callers_data_stays():
    document = RecipeDocument.from_yaml(parse_yaml(TEXT), "r.yaml")
    before = document.data
    assert document.key_location(("train", "epochs")).label == "r.yaml:4:24"
    assert document.key_location(("train", "missing")) == document.value_location(("train",))
    document.expand_section("strategy")
    assert document.data["strategy"] == {"name": "rules", "list": [{"match": "head"}]}
    assert document.value_location(("strategy", "list", 0, "match")).label == "r.yaml:3:10"
    assert document.expand_key("train", "augment")
    assert document.data["train"]["augment"] == {"flip": 0.5}
    location = Location((1, 0, 0), "-o train.loss.gamma=1")
    document.set(("train", "loss", "gamma"), 1, location)
    assert document.data["train"]["loss"] == {"gamma": 1}
    assert document.key_location(("train", "loss")) == location
    document.remove(("train",))
    assert "train" not in document.data
    assert document.value_location(("train", "loss", "gamma")) == document.root
    assert before == parse_yaml(TEXT).data
