"""MobileNetV2."""

import pytest
from support.backbones import check_name, check_record, check_reference, check_variant, records_of

from hubtune.models import mobilenet_v2


@pytest.mark.parametrize("record", records_of(mobilenet_v2))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


def test_scores_are_those_of_paddleclas(material):
    check_reference("MobileNetV2", material)


def test_names_of_paddlecv_are_known():
    check_name("MobileNetV2", "mobilenet_v2_imagenet", 72.15)


def test_variants_are_other_weights_of_the_same_network():
    check_variant("MobileNetV2_ssld", "MobileNetV2", "MobileNetV2_ssld", (76.74, 93.39))
