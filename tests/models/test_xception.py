"""Xception."""

import pytest
from support.backbones import check_record, check_reference, count_trained, records_of, slow

from hubtune.models import xception
from hubtune.models.catalog import find


@pytest.mark.parametrize("record", records_of(xception))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", ["Xception41", *slow("Xception65", "Xception71")])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


def test_names_of_paddlehub_and_paddleclas_mean_the_same():
    assert find("xception71_imagenet") is find("Xception71")


@pytest.mark.parametrize("name", ["Xception41", "Xception65", "Xception71"])
def test_inputs_of_299_pixels_are_resized_to_320(name):
    record = find(name).backbone
    assert (record.resize, record.input_size) == (320, 299)


def test_size_and_keys_are_the_published_ones():
    network = find("xception71_imagenet").backbone.build(num_classes=1000)
    assert count_trained(network) == 37_678_496
    expected = {
        "_entry_flow._conv1._conv.weight": [32, 3, 3, 3],
        "_entry_flow._conv_4._short.weight": [728, 728, 1, 1],
        "_middle_flow._conv_15._conv_2._depthwise_conv._conv.weight": [728, 1, 3, 3],
        "_exit_flow._conv_2._pointwise_conv._batch_norm._variance": [2048],
        "_exit_flow._out.weight": [2048, 1000],
    }
    assert {key: network.state_dict()[key].shape for key in expected} == expected
