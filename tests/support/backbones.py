"""Checks of backbones against their records, and the answers of PaddleClas and transformers."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import paddle
import pytest
from models.deterministic import image, weights
from paddle import nn

from hubtune.models.backbone import features, head_keys, stage_keys
from hubtune.models.catalog import BACKBONES, find
from support.network_walks import marks_of

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
DINOV2 = tuple(f"dinov2_vit{size}14{end}" for end in ("", "_reg") for size in "sb")
"""They have no heads of their own: the answers are their pooled features."""
# As a share of the largest magnitude; measured differences are about 1e-6.
TOLERANCE = 1e-5

HEAVY = {name for name, record in BACKBONES.items() if record.parameters > 4e8}
"""Networks whose weights take gigabytes; narrower ones of their families stand for them."""


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def records_of(family):
    """Return a family's records as parameters, slow unless they are small or the smallest one."""
    quick = max(4e6, min([20e6, *(record.parameters for record in family.BACKBONES)]))
    return [
        pytest.param(each, id=each.name, marks=marks_of(each.name, each.parameters <= quick))
        for each in family.BACKBONES
    ]


def with_small_residuals(network, name):
    """Halve the scales of an untrained network whose gates amplify rounding errors as its residuals grow."""
    if name.startswith(("efficientnet", "ghostnet", "se_hrnet")):
        for layer in network.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer.weight.set_value(0.5 * layer.weight)
    return network


def random_images(size):
    return paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, size, size)).astype("float32"))


def count_trained(network):
    return sum(parameter.size for parameter in network.parameters() if not parameter.stop_gradient)


@paddle.no_grad()
def check_record(record, *, small_size=64, head_tensors=2):
    """Compare a record with its network, which works at ``small_size`` unless it takes one size only."""
    record.build(num_classes=5)  # may be called any number of times
    network = record.build(num_classes=5)
    network.eval()
    stages = record.stages(network)
    size = record.input_size
    if record.size_multiple is not None:
        size = -(-small_size // record.size_multiple) * record.size_multiple
        assert size != record.input_size
    images = random_images(size)
    output = images
    for stage in stages:
        output = stage.forward(output)
    np.testing.assert_allclose(output.numpy(), network(images).numpy(), rtol=1e-5, atol=1e-5)
    assert output.shape == [2, 5]
    assert features(stages, images).shape == [2, record.width]
    assert count_trained(record.build(num_classes=1000)) == record.parameters
    assert stages[0].name == "stem" and stages[-1].name == "head"
    keys = [key for stage in stages for key in stage_keys(network, stage)]
    assert sorted(keys) == sorted(network.state_dict())
    assert len(head_keys(network, stages)) == head_tensors
    layers = [layer for stage in stages for layer in stage.layers]
    owned = [id(part) for layer in layers for part in layer.sublayers(include_self=True)]
    assert len(set(owned)) == len(owned)
    assert {id(layer) for layer in network.sublayers() if isinstance(layer, nn.Dropout)} <= set(owned)


def shapes(network):
    return {key: list(value.shape) for key, value in network.state_dict().items()}


@paddle.no_grad()
def check_reference(name, material):
    """Compare keys, shapes, parameters and logits with those of PaddleClas's network of this name."""
    folder = material / "architectures"
    reference = json.loads((folder / f"{name}.json").read_text("utf-8"))
    spec = spec_from_file_location("reference_weights", folder / "reference_weights.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    record = find(name).backbone
    network = record.build(num_classes=1000)
    network.eval()
    assert shapes(network) == reference["keys"]
    assert count_trained(network) == reference["trainable_parameters"]
    assert record.input_size == reference["input_size"]
    network.set_state_dict(made.weights(reference["keys"], reference["seed"]))
    images = paddle.to_tensor(made.image(reference["input_size"], reference["seed"]))
    logits = np.array(reference["logits"])
    assert np.abs(network(images).numpy()[0] - logits).max() <= 1e-4 * np.abs(logits).max()


def typed_shapes(network):
    kinds = {key: str(value.dtype).removeprefix("paddle.") for key, value in network.state_dict().items()}
    return {key: [kinds[key], *shape] for key, shape in shapes(network).items()}


def golden_network(record, keys):
    network = record.build(num_classes=1000)
    network.eval()
    state = network.state_dict()
    made = weights({key: shape for key, (kind, *shape) in keys.items() if kind == "float32"})
    for key, value in made.items():
        state[key].set_value(value)
    return network


@paddle.no_grad()
def golden_scores(record, network, size):
    images = paddle.to_tensor(image(*map(int, size.split("x"))))
    if record.name in DINOV2:
        return features(record.stages(network), images).numpy()[0]
    return network(images).numpy()[0]


def assert_close(scores, expected, largest=None):
    largest = float(np.abs(expected).max()) if largest is None else largest
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE * largest)


@paddle.no_grad()
def check_golden(name):
    answers = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    record = find(name).backbone
    network = golden_network(record, answers["keys"])
    own = typed_shapes(network).items()
    assert answers["keys"] == {key: what for key, what in own if name not in DINOV2 or key[:5] != "head."}
    assert answers["answers"]
    for size, expected in answers["answers"].items():
        scores = golden_scores(record, network, size)[: len(expected["first"])]
        assert_close(scores, np.array(expected["first"]), expected["largest"])


def arrays_of(network):
    return {key: value.numpy() for key, value in network.state_dict().items()}


def check_translation(record, file, own):
    translated = record.translate(file)
    assert translated.keys() == own.keys()
    assert all(translated[key] is own[key] for key in own)
