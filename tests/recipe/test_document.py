"""A document's locations follow its values when short forms grow and values are set or removed."""

from hubtune.recipe.document import Location, RecipeDocument
from hubtune.storage.yaml_reader import parse_yaml

TEXT = "module: m\nstrategy:\n- match: head\ntrain: {augment: flip, epochs: 2}\n"


def test_locations_follow_a_short_form_that_grows():
    grown = RecipeDocument.from_yaml(parse_yaml(TEXT), "r.yaml")
    assert grown.key_location(("train", "epochs")).label == "r.yaml:4:24"
    assert grown.key_location(("train", "missing")) == grown.value_location(("train",))
    assert grown.value_location(("nowhere",)) == grown.root
    grown.expand_section("strategy")
    assert grown.data["strategy"] == {"name": "rules", "list": [{"match": "head"}]}
    assert grown.value_location(("strategy", "list", 0, "match")).label == "r.yaml:3:10"
    assert grown.expand_key("train", "augment")
    assert grown.data["train"]["augment"] == {"flip": 0.5}
    grown.set(("train", "augment"), "flop", Location((1, 0, 0), "-o x"))
    assert not grown.expand_key("train", "augment")


def test_setting_and_removing_leave_the_callers_data_alone():
    changed = RecipeDocument.from_yaml(parse_yaml(TEXT), "r.yaml")
    before = changed.data
    location = Location((1, 0, 0), "-o train.loss.gamma=1")
    changed.set(("train", "loss", "gamma"), 1, location)
    assert changed.data["train"] == {"augment": "flip", "epochs": 2, "loss": {"gamma": 1}}
    assert changed.key_location(("train", "loss")) == location
    changed.remove(("train",))
    assert "train" not in changed.data
    assert changed.value_location(("train", "loss", "gamma")) == changed.root
    assert before == parse_yaml(TEXT).data
