"""SENet and SE-ResNeXt."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of, slow

from hubtune.models import senet
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(senet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", [*slow("SENet154_vd", "SE_ResNeXt101_32x4d", "SE_ResNeXt50_32x4d")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("SE_ResNeXt50_32x4d", "se_resnext50_32x4d_imagenet", 78.44),
        ("SE_ResNeXt101_32x4d", "se_resnext101_32x4d_imagenet", None),
        ("SE154_vd", "senet154_vd_imagenet", 81.4),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("se_resnet18_vd_imagenet", "SE_ResNet18_vd"),
        ("SENet154_vd", "SE154_vd"),
    ],
)
def test_names_of_paddlehub_and_paddleclas_mean_the_same(name, alias):
    assert find(name) is find(alias)
