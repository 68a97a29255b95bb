"""The parts of a model, run one after the other, give the answers of the whole."""

import numpy as np
import paddle
import pytest
from support.exports import trained_run
from support.paddlehub import exportable_model

import hubtune
from hubtune.export.network import ExportNetwork
from hubtune.export.network_parts import NetworkParts
from hubtune.inference.network_parts import FEATURES, VIEWS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


def _run(part, *values):
    part.layer.eval()
    with paddle.no_grad():
        outputs = part.layer(*values)
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _pixels(view, count=3):
    shape = (count, view.size, view.size, view.channels)
    return paddle.to_tensor(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def _check(model):
    parts, network = NetworkParts(model), ExportNetwork(model)
    pixels = _pixels(network.view)
    [images] = _run(parts.views, pixels)
    maps = _run(parts.backbone, images)
    answers = _run(parts.answers_of(model), *maps)
    with paddle.no_grad():
        expected = network(pixels)
    assert len(answers) == len(expected) == len(network.outputs)
    for values, other in zip(answers, expected, strict=True):
        np.testing.assert_allclose(values.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
    return parts, pixels


def test_parts_of_a_model_with_two_views_second_order_features_and_similarities(run):
    model = hubtune.load_model(run.path)
    parts, pixels = _check(model)
    # Training looks at one view at a time.
    assert _run(parts.single_view, pixels)[0].shape[0] == 3


def test_parts_of_a_model_with_hidden_layers():
    _check(exportable_model())


def test_parts_name_what_they_hand_on():
    parts = NetworkParts(exportable_model(fit="whole", resize=64))
    assert [spec.name for spec in parts.backbone.inputs] == parts.views.outputs == [VIEWS]
    last = parts.features_of(exportable_model().classifier)
    assert [spec.name for spec in last.inputs] == parts.backbone.outputs
    assert last.outputs == [FEATURES]
    # A view that keeps the aspect ratio has sides of any length.
    assert list(parts.backbone.inputs[0].shape) == [-1, 3, -1, -1]
    assert list(last.inputs[0].shape)[2:] == [-1, -1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["resnet18_vd_imagenet", "vit_small_patch16_224_imagenet", "swin_tiny_patch4_window7_224_imagenet"],
)
def test_parts_of_networks_with_maps_and_with_tokens(name):
    from hubtune.data.images.preprocessing import Preprocessing
    from hubtune.hub.model_card import ModelCard
    from hubtune.inference.model import Model
    from hubtune.models.catalog import find
    from hubtune.models.classifier import Classifier

    record = find(name).backbone
    classifier = Classifier(record, 2)
    classifier.take_second_order(classifier.find_taps(record.taps, 224))
    card = ModelCard(
        architecture=name,
        labels=["a", "b"],
        preprocessing=Preprocessing(size=224, resize=224),
        taps=list(classifier.second_order.taps),
        module=name,
        module_sha256=None,
        strategy="frozen",
        step=0,
        metrics={},
    )
    _check(Model(classifier, card))
