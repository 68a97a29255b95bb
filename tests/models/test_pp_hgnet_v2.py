"""PP-HGNetV2."""

import pytest
from support.backbones import (
    check_golden,
    check_golden_depends_on_the_image,
    check_record,
    check_variant,
    records_of,
    slow,
)

from hubtune.models import pp_hgnet_v2


@pytest.mark.parametrize("record", records_of(pp_hgnet_v2))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", ["PPHGNetV2_B0", *slow("PPHGNetV2_B4")])
def test_scores_are_the_golden_ones(name):
    check_golden(name)


def test_golden_scores_depend_on_the_image():
    check_golden_depends_on_the_image("PPHGNetV2_B0")


def test_variants_are_other_weights_of_the_same_network():
    check_variant("PPHGNetV2_B0_ssld_stage1", "PPHGNetV2_B0", "legendary/PPHGNetV2_B0_ssld_stage1", None)
