"""Grad-CAM equals the class activation map where that is exact, and works for every kind of network."""

import numpy as np
import paddle
import pytest

from hubtune.inference.grad_cam import grad_cam
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


def _classifier(name, **options):
    paddle.seed(0)
    classifier = Classifier(find(name).backbone, 4, **options)
    classifier.eval()
    return classifier


def _image(size):
    return np.random.default_rng(0).standard_normal((3, *size)).astype(np.float32)


def test_it_is_the_class_activation_map_of_a_linear_head_on_the_mean():
    classifier, image = _classifier("smallnet"), _image((64, 96))
    with paddle.no_grad():
        outputs, _ = classifier.run_last_stage(classifier.before_last_stage(paddle.to_tensor(image[None])))
    last = outputs[-1].numpy()[0]
    expected = np.tensordot(classifier.head[0].weight.numpy()[:, 2], last, axes=1)
    found = grad_cam(classifier, image, 2)
    assert found.shape == last.shape[1:]
    np.testing.assert_allclose(found * found.size, np.maximum(expected, 0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "cells"),
    [
        ("paddle.vision:vgg11", (224, 224), (7, 7)),  # hidden layers between the map and the head
        ("PPLCNet_x0_25", (96, 64), (3, 2)),  # a layer behind the mean
        ("ViT_small_patch16_224", (224, 224), (14, 14)),  # a class token
        ("swin_tiny_patch4_window7_224_imagenet", (224, 224), (7, 7)),  # the mean of tokens
    ],
)
@pytest.mark.slow
def test_networks_of_all_kinds_have_a_map_of_their_positions(name, size, cells):
    found = grad_cam(_classifier(name), _image(size), 1)
    assert found.shape == cells
    assert (found >= 0).all()
    assert np.isfinite(found).all()


def test_hidden_layers_in_the_head_are_followed():
    found = grad_cam(_classifier("smallnet", hidden_units=[8]), _image((64, 64)), 0)
    assert found.ndim == 2
    assert found.size > 1
