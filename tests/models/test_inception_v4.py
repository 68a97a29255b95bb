"""Inception-v4."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of, slow

from hubtune.models import inception_v4
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(inception_v4))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", [*slow("InceptionV4")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("InceptionV4", "inceptionv4_imagenet", 80.77),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("inception_v4_imagenet", "InceptionV4"),
    ],
)
def test_names_of_paddlehub_and_paddleclas_mean_the_same(name, alias):
    assert find(name) is find(alias)


@pytest.mark.parametrize("name", ["InceptionV4"])
def test_inputs_of_299_pixels_are_resized_to_320(name):
    record = find(name).backbone
    assert (record.resize, record.input_size) == (320, 299)
