"""Every name in PaddleHub's list of image classification is known, or says what to take in its place."""

import re
from pathlib import Path

import pytest

from hubtune.errors import ModelError
from hubtune.hub.registry import resolve_module
from hubtune.hub.weights import find_published
from hubtune.models.catalog import BY_NAME, lookup
from hubtune.models.other_modules import other_module_advice

NAMES = Path(__file__).with_name("paddlehub_names.txt").read_text("utf-8").split()


def test_every_name_of_paddlehub_is_known_or_says_what_to_take():
    assert len(NAMES) == 140
    others = [name for name in NAMES if lookup(name) is None]
    assert len(others) == 13
    for name in others:
        advice = other_module_advice(name)
        assert advice.count(".") == 1, advice
        assert re.search(r"fine-tune '(\w+)' on", advice)[1] in BY_NAME
        for refusal in (resolve_module, find_published):
            with pytest.raises(ModelError, match=re.escape(f"'{name}'.{advice}")):
                refusal(name)


def test_names_with_v2_are_the_networks_that_paddlehub_has_under_them():
    for name, expected in (
        ("resnet_v2_50_imagenet", "resnet50_imagenet"),
        ("resnet34_v2_imagenet", "resnet34_imagenet"),
        ("resnet50_v2_imagenet", "resnet50_vd_imagenet"),
    ):
        assert resolve_module(name).pretrained.name == expected
    assert resolve_module("resnet50_vd_10w").pretrained.weights.url.startswith("https://paddlehub.bj.bcebos")
