"""VGG, with the names of older files."""

import pytest
from support.backbones import (
    check_name,
    check_record,
    check_reference,
    check_translated_name,
    records_of,
    slow,
)

from hubtune.models import vgg


@pytest.mark.parametrize("record", records_of(vgg))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", [*slow("VGG11", "VGG13", "VGG16", "VGG19")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("VGG11", "vgg11_imagenet", None),
        ("VGG13", "vgg13_imagenet", None),
        ("VGG16", "vgg16_imagenet", None),
        ("VGG19", "vgg19_imagenet", None),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


@pytest.mark.parametrize(
    ("name", "key", "own"),
    [
        ("VGG19", "_conv_block_5._conv_4.weight", "conv_block_5.conv4.weight"),
        ("VGG11", "_fc2.bias", "fc2.bias"),
        ("VGG11", "_out.weight", "fc3.weight"),
    ],
)
def test_older_names_become_the_networks_own(name, key, own):
    check_translated_name(name, key, own)
