"""ConvNeXt."""

import pytest
from support.backbones import check_golden, check_record, drop_path_rates, records_of

from hubtune.models import convnext


@pytest.mark.parametrize("record", records_of(convnext))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.slow
def test_scores_are_the_golden_ones():
    check_golden("ConvNeXt_tiny")


def test_stochastic_depth_grows_to_its_maximum():
    rates = drop_path_rates("ConvNeXt_tiny")
    assert (rates[0], rates[-1], rates) == (0, 0.1, sorted(rates))
