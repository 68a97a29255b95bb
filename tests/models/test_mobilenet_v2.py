"""MobileNetV2."""

import pytest
from support.backbones import check_name, check_record, check_reference, check_variant, records_of

from hubtune.models import mobilenet_v2


@pytest.mark.parametrize("record", records_of(mobilenet_v2))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", ["MobileNetV2"])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("MobileNetV2", "mobilenet_v2_imagenet", 72.15),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


@pytest.mark.parametrize(
    ("alias", "architecture", "file", "accuracy"),
    [
        ("MobileNetV2_ssld", "MobileNetV2", "MobileNetV2_ssld", (76.74, 93.39)),
    ],
)
def test_variants_are_other_weights_of_the_same_network(alias, architecture, file, accuracy):
    check_variant(alias, architecture, file, accuracy)
