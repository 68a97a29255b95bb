"""The small network of the demo."""

import pytest
from support.backbones import check_record, count_trained, records_of

from hubtune.models import smallnet
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(smallnet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


def test_it_is_small():
    assert count_trained(find("smallnet").backbone.build(num_classes=10)) == 135_162
