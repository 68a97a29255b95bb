"""AlexNet."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of

from hubtune.models import alexnet


@pytest.mark.parametrize("record", records_of(alexnet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.slow
def test_scores_are_those_of_paddleclas(material):
    check_reference("AlexNet", material)


def test_names_of_paddlecv_are_known():
    check_name("AlexNet", "alexnet_imagenet", None)
