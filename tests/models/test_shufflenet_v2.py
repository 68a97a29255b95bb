"""ShuffleNetV2."""

import pytest
from support.backbones import check_name, check_record, check_reference, records_of

from hubtune.models import shufflenet_v2
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(shufflenet_v2))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", ["ShuffleNetV2_swish", "ShuffleNetV2_x1_0"])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


def test_names_of_paddlecv_are_known():
    check_name("ShuffleNetV2", "shufflenet_v2_swish_imagenet", 70.03)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("shufflenet_v2_imagenet", "ShuffleNetV2_x1_0"),
        ("ShuffleNetV2_swish", "ShuffleNetV2"),
    ],
)
def test_names_of_paddlehub_and_paddleclas_mean_the_same(name, alias):
    assert find(name) is find(alias)
