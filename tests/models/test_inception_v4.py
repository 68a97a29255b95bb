"""Inception-v4."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of

from hubtune.models import inception_v4
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(inception_v4))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.slow
def test_scores_are_those_of_paddleclas(material):
    check_reference("InceptionV4", material)


def test_names_of_paddlecv_are_known():
    check_name("InceptionV4", "inceptionv4_imagenet", 80.77)


def test_names_of_paddlehub_and_paddleclas_mean_the_same():
    assert find("inception_v4_imagenet") is find("InceptionV4")


def test_inputs_of_299_pixels_are_resized_to_320():
    record = find("InceptionV4").backbone
    assert (record.resize, record.input_size) == (320, 299)
