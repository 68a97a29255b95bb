"""MobileNetV1, with the names of older files."""

import pytest
from support.backbones import (
    arrays_of,
    check_name,
    check_own_names_pass,
    check_record,
    check_reference,
    check_translated_name,
    check_translation,
    check_variant,
    older_parts,
    records_of,
)

from hubtune.models import mobilenet_v1
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(mobilenet_v1))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


def test_scores_are_those_of_paddleclas(material):
    check_reference("MobileNetV1", material)


def test_names_of_paddlecv_are_known():
    check_name("MobileNetV1", "mobilenet_v1_imagenet", 70.99)


def test_variants_are_other_weights_of_the_same_network():
    check_variant("MobileNetV1_ssld", "MobileNetV1", "legendary/MobileNetV1_ssld", (77.89, 93.94))


@pytest.mark.parametrize(
    ("name", "key", "own"),
    [
        ("MobileNetV1", "conv1._conv.weight", "conv.conv.weight"),
        ("MobileNetV1", "conv2_1._depthwise_conv._conv.weight", "blocks.0.depthwise_conv.conv.weight"),
        ("MobileNetV1", "conv5_6._pointwise_conv._batch_norm._mean", "blocks.11.pointwise_conv.bn._mean"),
        ("MobileNetV1", "conv6._depthwise_conv._batch_norm.bias", "blocks.12.depthwise_conv.bn.bias"),
    ],
)
def test_older_names_become_the_networks_own(name, key, own):
    check_translated_name(name, key, own)


def test_an_older_file_gives_the_same_tensors():
    record = find("MobileNetV1").backbone
    own = arrays_of(record.build(num_classes=3))
    blocks = ["conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"]
    blocks += ["conv5_1", "conv5_2", "conv5_3", "conv5_4", "conv5_5", "conv5_6", "conv6"]
    file = {}
    for key, value in own.items():
        layer, _, rest = key.partition(".")
        if layer == "blocks":
            number, conv, rest = rest.split(".", 2)
            layer = f"{blocks[int(number)]}._{conv}"
        outer = {"conv": "conv1", "fc": "out"}.get(layer, layer)
        file[f"{outer}.{older_parts(rest)}"] = value
    assert not file.keys() & own.keys()
    check_translation(record, file, own)


def test_own_names_pass_unchanged():
    check_own_names_pass("MobileNetV1")
