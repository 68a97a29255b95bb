"""PP-LCNet."""

import pytest
from support.backbones import check_golden, check_golden_depends_on_the_image, check_record, records_of

from hubtune.models import pp_lcnet


@pytest.mark.parametrize("record", records_of(pp_lcnet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


def test_scores_are_the_golden_ones():
    check_golden("PPLCNet_x1_0")


def test_golden_scores_depend_on_the_image():
    check_golden_depends_on_the_image("PPLCNet_x1_0")
