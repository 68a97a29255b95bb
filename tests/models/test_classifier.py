"""A classifier is a backbone with a new head, and its parts add up."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier, by_shape, run_by_shape


@pytest.fixture
def classifier():
    return Classifier(find("smallnet").backbone, 3, hidden_units=[5], seed=1)


def images(*sizes):
    random = np.random.default_rng(0)
    return [random.standard_normal((3, *size)).astype(np.float32) for size in sizes]


def test_the_head_has_hidden_layers_and_seeded_values_and_the_rest_is_copied(classifier):
    assert [type(layer) for layer in classifier.head] == [nn.Linear, nn.ReLU, nn.Linear]
    same, other = (Classifier(find("smallnet").backbone, 3, hidden_units=[5], seed=seed) for seed in (1, 2))
    weight = classifier.head[0].weight.numpy()
    np.testing.assert_array_equal(weight, same.head[0].weight.numpy())
    assert (weight != other.head[0].weight.numpy()).any() and np.abs(weight).max() <= 0.04
    assert not any(name.startswith("backbone.fc") for name in classifier.state())
    network = find("smallnet").backbone.build(num_classes=9)
    classifier.load_backbone(network)
    for name, tensor in classifier.state_before_head().items():
        expected = network.state_dict()[name.removeprefix("backbone.")]
        np.testing.assert_array_equal(tensor.numpy(), expected.numpy())


@paddle.no_grad()
def test_parts_run_in_turn_as_the_whole(classifier):
    classifier.eval()
    batch = paddle.to_tensor(np.stack(images((32, 32), (32, 32))))
    whole = classifier(batch).numpy()
    np.testing.assert_allclose(classifier.head(classifier.features(batch)).numpy(), whole, rtol=1e-5)
    before = classifier.before_last_stage(batch)
    np.testing.assert_allclose(classifier.from_last_stage(before).numpy(), whole, rtol=1e-5)
    parts = classifier.state_before_last_stage(), classifier.state_before_head(), classifier.state()
    assert set(parts[0]) < set(parts[1]) < set(parts[2])


def test_what_is_frozen_stays_in_evaluation_mode(classifier):
    stages = [stage for stage, _, _ in classifier.trained_parameters()]
    assert (stages[0], stages[-1]) == ("stem", "head")
    for stage, _, tensor in list(classifier.trained_parameters()):
        tensor.stop_gradient = stage == "stem"
    norms = [layer for layer in classifier.sublayers() if isinstance(layer, nn.BatchNorm2D)]
    classifier.start_training(keep_statistics=False)
    assert [norm.training for norm in norms][:2] == [False, True]
    classifier.start_training(keep_statistics=True)
    assert not any(norm.training for norm in norms)


def test_images_of_several_shapes_keep_their_order():
    arrays = images((4, 6), (5, 5), (4, 6))
    assert by_shape(arrays) == [[0, 2], [1]]
    means = run_by_shape(lambda batch: batch.mean([1, 2, 3]), arrays).numpy()
    np.testing.assert_allclose(means, [array.mean() for array in arrays], rtol=1e-5)
