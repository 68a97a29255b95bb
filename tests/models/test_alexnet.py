"""AlexNet."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of, slow

from hubtune.models import alexnet


@pytest.mark.parametrize("record", records_of(alexnet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", [*slow("AlexNet")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("AlexNet", "alexnet_imagenet", None),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)
