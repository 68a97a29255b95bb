"""Taps of the catalog: every one is a map of the network, and small enough to compute covariances of."""

import numpy as np
import paddle
import pytest
from support.backbones import with_small_residuals

from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier
from hubtune.models.taps import MOST_CHANNELS, Tap


def test_a_tap_has_a_feature_for_each_pair_of_its_channels_or_of_its_directions():
    assert Tap("stage3", 4).width == 10
    assert Tap("stage3", MOST_CHANNELS).width == MOST_CHANNELS * (MOST_CHANNELS + 1) // 2
    wide = Tap("stage4.-1", 2048)
    assert wide.directions == 128
    assert wide.width == 128 * 129 // 2


@pytest.mark.parametrize("channels", [0, -3, 10**9])
def test_impossible_numbers_of_channels_are_refused(channels):
    with pytest.raises(ValueError, match=r"a tap has .* channels, and may have 1 to 65,536"):
        Tap("stage3", channels)


def _families():
    """The smallest record of each way to divide a network."""
    smallest = {}
    for record in sorted(BACKBONES.values(), key=lambda record: record.parameters):
        smallest.setdefault((str(getattr(record.stages, "func", record.stages)), record.taps), record)
    return [pytest.param(record, id=record.name) for record in smallest.values() if record.taps]


@pytest.mark.parametrize("record", [pytest.param(each, id=each.name) for each in BACKBONES.values()])
def test_every_backbone_names_taps_but_the_one_without_a_late_map(record):
    assert (record.taps == ()) == (record.name == "vgg_bn_drop")


@pytest.mark.slow
@pytest.mark.parametrize("record", _families())
def test_taps_are_maps_and_their_features_reach_the_head_from_images_and_from_the_last_stage(record):
    paddle.seed(0)
    classifier = with_small_residuals(Classifier(record, 3), record.name)
    taps = classifier.find_taps(record.taps, record.input_size)
    assert [tap.name for tap in taps] == list(record.taps)
    assert all(tap.channels > 16 - 1 for tap in taps)
    pooled = classifier.features(images := paddle.randn([2, 3, record.input_size, record.input_size]))
    classifier.take_second_order(taps)
    assert classifier.blocks == [record.width, *(tap.width for tap in taps)]
    with paddle.no_grad():
        features = classifier.features(images).numpy()
        logits = classifier(images).numpy()
        again = classifier.from_last_stage(classifier.before_last_stage(images)).numpy()
    assert np.array_equal(features[:, : record.width], pooled.numpy())
    assert np.isfinite(features).all()
    start = record.width
    for tap in taps:
        block = features[:, start : start + tap.width]
        assert ((block**2).mean(axis=1) > 0.5).all()
        assert ((block**2).mean(axis=1) < 1.01).all()
        start += tap.width
    assert np.abs(features[0] - features[1]).max() > 0
    assert np.array_equal(logits, again)
    loss = classifier(images).sum()
    loss.backward()
    for _, name, tensor in classifier.trained_parameters():
        if tensor.grad is not None:
            assert np.isfinite(tensor.grad.numpy()).all(), name
