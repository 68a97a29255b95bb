"""MobileNetV3."""

import pytest
from support.backbones import check_golden, check_golden_depends_on_the_image, check_record, records_of, slow

from hubtune.models import mobilenet_v3


@pytest.mark.parametrize("record", records_of(mobilenet_v3))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", ["MobileNetV3_small_x1_0", *slow("MobileNetV3_large_x1_0")])
def test_scores_are_the_golden_ones(name):
    check_golden(name)


def test_golden_scores_depend_on_the_image():
    check_golden_depends_on_the_image("MobileNetV3_small_x1_0")
