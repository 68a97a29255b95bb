"""ResNeXt."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of, slow

from hubtune.models import resnext
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(resnext))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", [*slow("ResNeXt101_64x4d", "ResNeXt101_vd_64x4d")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("ResNeXt101_64x4d", "resnext101_64x4d_imagenet", None),
        ("ResNeXt101_vd_64x4d", "resnext101_vd_64x4d_imagenet", 80.78),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


def test_names_of_paddlehub_and_paddleclas_mean_the_same():
    assert find("resnext152_vd_64x4d_imagenet") is find("ResNeXt152_vd_64x4d")
