"""Checks that the test file of each family of backbones runs over the family's records.

Two kinds of references are compared: those of the folder that ``HUBTUNE_TEST_MATERIAL`` names
(``architectures/<class>.json`` with keys, shapes and logits, ``architectures/reference_weights.py`` with the
weights and the picture that belong to them), and ``tests/models/golden/*.json``, the answers of real
PaddleClas and Hugging Face's transformers.
"""

import json
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import paddle
import pytest
from models.deterministic import image, weights
from paddle import nn

from hubtune.models.backbone import Backbone, features, head_keys, stage_keys
from hubtune.models.catalog import find

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
DINOV2 = "dinov2_vits14"  # has no head of its own: the answers are its pooled features
# As a share of the largest magnitude; measured differences are about 1e-6.
TOLERANCE = 1e-5


def slow(*values: str) -> list:
    """Mark parameters slow."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def records_of(family: ModuleType) -> list:
    """Return a family's records as parameters, slow unless they are small or the smallest one."""
    quick = max(4e6, min([20e6, *(record.parameters for record in family.BACKBONES)]))
    return [
        pytest.param(record, id=record.name, marks=[] if record.parameters <= quick else [pytest.mark.slow])
        for record in family.BACKBONES
    ]


def random_images(size: int) -> paddle.Tensor:
    """Return two images ``[2, 3, size, size]`` of noise."""
    return paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, size, size)).astype("float32"))


def count_trained(network: nn.Layer) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.size for parameter in network.parameters() if not parameter.stop_gradient)


@paddle.no_grad()
def check_record(record: Backbone, *, small_size: int = 64, head_tensors: int = 2) -> None:
    """Compare a record with its network, on random weights.

    Args:
        record: the record.
        small_size: a side, pixels, at which the network still works, unless it takes one size only.
        head_tensors: number of tensors in the head.
    """
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
    if record.size_multiple is None:
        with pytest.raises(ValueError, match="InvalidArgument"):
            network(random_images(160))
    assert features(stages, images).shape == [2, record.width]
    assert count_trained(record.build(num_classes=1000)) == record.parameters
    names = [stage.name for stage in stages]
    assert (names[0], names[-1], len(set(names))) == ("stem", "head", len(names))
    keys = [key for stage in stages for key in stage_keys(network, stage)]
    assert sorted(keys) == sorted(network.state_dict())
    assert len(head_keys(network, stages)) == head_tensors
    owned = [
        id(part) for stage in stages for layer in stage.layers for part in layer.sublayers(include_self=True)
    ]
    assert len(set(owned)) == len(owned)
    assert {id(layer) for layer in network.sublayers() if isinstance(layer, nn.Dropout)} <= set(owned)


def shapes(network: nn.Layer) -> dict[str, list[int]]:
    """Return the shapes of a network's tensors by key."""
    return {key: list(value.shape) for key, value in network.state_dict().items()}


@paddle.no_grad()
def check_reference(name: str, material: Path) -> None:
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


def typed_shapes(network: nn.Layer) -> dict[str, list]:
    """Return type and shape of a network's tensors by key."""
    return {
        key: [str(value.dtype).removeprefix("paddle."), *value.shape]
        for key, value in network.state_dict().items()
    }


def golden_network(record: Backbone, keys: Mapping[str, list]) -> nn.Layer:
    """Build the network with the weights that belong to the golden answers."""
    network = record.build(num_classes=1000)
    network.eval()
    state = network.state_dict()
    made = weights({key: shape for key, (kind, *shape) in keys.items() if kind == "float32"})
    for key, value in made.items():
        state[key].set_value(value)
    return network


@paddle.no_grad()
def golden_scores(record: Backbone, network: nn.Layer, size: str) -> np.ndarray:
    """Return what the golden answers are of: class scores or, of DINOv2, pooled features."""
    images = paddle.to_tensor(image(*map(int, size.split("x"))))
    if record.name == DINOV2:
        return features(record.stages(network), images).numpy()[0]
    return network(images).numpy()[0]


def assert_close(scores: np.ndarray, expected: np.ndarray, largest: float | None = None) -> None:
    """Compare scores relative to the largest magnitude."""
    largest = float(np.abs(expected).max()) if largest is None else largest
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE * largest)


def golden(name: str) -> dict[str, Any]:
    """Return the golden answers of a network."""
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


@paddle.no_grad()
def check_golden(name: str) -> None:
    """Compare keys and answers with the golden ones, which depend on the image."""
    answers = golden(name)
    record = find(name).backbone
    network = golden_network(record, answers["keys"])
    own = typed_shapes(network)
    if record.name == DINOV2:
        own = {key: what for key, what in own.items() if not key.startswith("head.")}
    assert own == answers["keys"]
    assert answers["answers"]
    for size, expected in answers["answers"].items():
        scores = golden_scores(record, network, size)[: len(expected["first"])]
        assert_close(scores, np.array(expected["first"]), expected["largest"])


def arrays_of(network: nn.Layer) -> dict[str, np.ndarray]:
    """Return a network's tensors by key."""
    return {key: value.numpy() for key, value in network.state_dict().items()}


def check_translation(record: Backbone, file: Mapping[str, np.ndarray], own: Mapping[str, Any]) -> None:
    """Check that a record gives a file's tensors the network's own names."""
    translated = record.translate(file)
    assert translated.keys() == own.keys()
    assert all(translated[key] is own[key] for key in own)
