"""The parts of a network, run one after the other, give the features of the whole."""

import numpy as np
import paddle
import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.network_parts import BackboneParts
from hubtune.inference.program import Subnetwork
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier

VIEW = Preprocessing(size=32, resize=32)


def _classifier(taps=True):
    record = find("smallnet").backbone
    classifier = Classifier(record, 3)
    if taps:
        classifier.take_second_order(classifier.find_taps(record.taps, 32))
    return classifier


def _run(part, *values):
    part.layer.eval()
    outputs = part.layer(*values)
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


@pytest.mark.parametrize("taps", [True, False])
def test_pixels_become_the_features_of_the_network(taps):
    classifier = _classifier(taps)
    assert len(classifier.blocks) == 1 + taps * len(find("smallnet").backbone.taps)
    parts = BackboneParts(classifier, VIEW)
    pixels = paddle.to_tensor(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    with paddle.no_grad():
        [images] = _run(parts.single_view, pixels)
        [features] = _run(parts.features_of(classifier), *_run(parts.backbone, images))
        expected = Subnetwork(classifier, classifier.features, VIEW)(pixels)
    assert features.shape == [2, sum(classifier.blocks)]
    np.testing.assert_allclose(features.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_views_that_keep_the_aspect_ratio_have_sides_of_any_length():
    whole = BackboneParts(_classifier(), Preprocessing(size=32, resize=32, fit="whole"))
    assert list(whole.pixels.shape) == [-1, -1, -1, 3]
    assert list(whole.backbone.inputs[0].shape) == [-1, 3, -1, -1]
    assert list(BackboneParts(_classifier(), VIEW).pixels.shape) == [-1, 32, 32, 3]
