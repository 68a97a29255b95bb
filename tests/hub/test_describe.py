"""Descriptions of modules; tests of the commands cover those of the weights on this machine."""

from hubtune.hub.describe import describe_pretrained, describe_resolved, matches_pattern, weights_licence
from hubtune.hub.registry import resolve_module
from hubtune.models.catalog import find


def test_descriptions_have_the_same_keys_and_a_pattern_is_a_part_of_a_name_unless_it_has_wildcards():
    hub = describe_pretrained(find("resnet50_imagenet"))
    own = describe_resolved("digitnet", resolve_module("digitnet"))
    assert own.keys() - hub.keys() == {"classes"}
    assert (hub["weights"]["file"], own["classes"]) == (None, list("0123456"))
    patterns = ("NET50", "res*50_*", "res*50")
    assert [matches_pattern(each, "x", "resnet50_imagenet") for each in patterns] == [True, True, False]


def test_official_weights_have_a_licence():
    assert weights_licence("resnet50_imagenet") == weights_licence("paddle.vision:resnet50") == "Apache-2.0"
    assert weights_licence("smallnet") is weights_licence("/a/module") is None
