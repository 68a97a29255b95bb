"""Every backbone keeps the promises of its record, with random weights."""

import pkgutil
import re
from collections.abc import Callable
from importlib import import_module

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.vision import models as paddle_models

from hubtune import models
from hubtune.errors import ModelError
from hubtune.models import catalog
from hubtune.models.backbone import Backbone, features, head_keys, stage_keys

# Below this side an Inception has nothing left to convolve.
SMALL = {"paddle.vision:inception_v3": 80}


def slow_but_for(quick: Callable[[Backbone], bool]) -> list:
    """All records, those marked slow that are not quick."""
    return [
        pytest.param(record, id=name, marks=[] if quick(record) else [pytest.mark.slow])
        for name, record in catalog.BACKBONES.items()
    ]


def is_small(record: Backbone) -> bool:
    """Whether a record is small, or the smallest of its family and not huge."""
    family = next(family for family in catalog._FAMILIES if record in family)
    return record.parameters <= max(4e6, min(20e6, *(other.parameters for other in family)))


def pictures(size: int) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, size, size)).astype("float32"))


@pytest.mark.parametrize("record", slow_but_for(is_small))
@paddle.no_grad()
def test_backbone_is_what_its_record_says(record: Backbone) -> None:
    record.build(num_classes=5)
    network = record.build(num_classes=5)
    network.eval()
    stages = record.stages(network)
    size = record.input_size
    if record.size_multiple is not None:
        size = -(-SMALL.get(record.name, 64) // record.size_multiple) * record.size_multiple
        assert size != record.input_size

    images = pictures(size)
    output = images
    for stage in stages:
        output = stage.forward(output)
    np.testing.assert_allclose(output.numpy(), network(images).numpy(), rtol=1e-5, atol=1e-5)
    assert output.shape == [2, 5]
    assert features(stages, images).shape == [2, record.width]

    full = record.build(num_classes=1000).parameters()
    assert sum(parameter.size for parameter in full if not parameter.stop_gradient) == record.parameters

    names = [stage.name for stage in stages]
    assert names[0] == "stem"
    assert names[-1] == "head"
    assert len(set(names)) == len(names)

    keys = [key for stage in stages for key in stage_keys(network, stage)]
    assert sorted(keys) == sorted(network.state_dict())
    assert len(head_keys(network, stages)) == (6 if "googlenet" in record.name else 2)  # it has three heads
    owned = [
        id(part) for stage in stages for layer in stage.layers for part in layer.sublayers(include_self=True)
    ]
    assert len(set(owned)) == len(owned)
    assert {id(layer) for layer in network.sublayers() if isinstance(layer, nn.Dropout)} <= set(owned)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, record in catalog.BACKBONES.items() if record.size_multiple is None]
)
def test_fixed_size_backbone_refuses_another_size(name: str) -> None:
    network = catalog.BACKBONES[name].build(num_classes=5)
    with pytest.raises(ValueError, match="InvalidArgument"):
        network(pictures(160))


@paddle.no_grad()
def test_googlenet_gives_the_main_output_of_paddles_own() -> None:
    theirs = paddle_models.googlenet()
    ours = catalog.BACKBONES["googlenet_imagenet"].build(num_classes=1000)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    ours.set_state_dict(theirs.state_dict())
    theirs.eval()
    ours.eval()
    images = pictures(224)
    np.testing.assert_allclose(ours(images).numpy(), theirs(images)[0].numpy(), atol=1e-6)


def test_googlenet_for_other_classes_differs_from_the_official_file_in_the_head_alone() -> None:
    record = catalog.BACKBONES["googlenet_imagenet"]
    network = record.build(num_classes=5)
    official = {key: value.shape for key, value in paddle_models.googlenet().state_dict().items()}
    other = {key for key, value in network.state_dict().items() if value.shape != official[key]}
    assert other == head_keys(network, record.stages(network))


def test_smallnet_is_small() -> None:
    network = catalog.BACKBONES["smallnet"].build(num_classes=10)
    assert sum(parameter.size for parameter in network.parameters() if not parameter.stop_gradient) == 135_162


def test_every_family_in_the_folder_is_in_the_catalog() -> None:
    for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        if module.name != catalog.__name__:
            for record in getattr(import_module(module.name), "BACKBONES", ()):
                assert catalog.BACKBONES[record.name] is record


def test_every_classifier_of_paddle_vision_is_in_the_catalog() -> None:
    functions = {name for name in paddle_models.__all__ if name.islower()}
    named = {name.partition(":")[2] for name in catalog.BY_NAME if name.startswith("paddle.vision:")}
    assert named == functions


def test_weights_of_paddle_vision_come_from_paddles_own_tables() -> None:
    without = []
    for name, record in catalog.BACKBONES.items():
        if name.startswith("paddle.vision:"):
            if record.weights is None:
                without.append(name)
            else:
                assert re.fullmatch(r"https://[\w./-]+\.bcebos\.com/[\w./-]+\.pdparams", record.weights.url)
                assert re.fullmatch("[0-9a-f]{32}", record.weights.md5 or "")
    assert without == ["paddle.vision:vgg11", "paddle.vision:vgg13"]


def test_names_and_class_names_find_the_same_backbone() -> None:
    assert catalog.find("xception71_imagenet") is catalog.find("Xception71")
    assert catalog.find("resnet50_imagenet").weights.url == (
        "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models/ResNet50_pretrained.pdparams"
    )


def test_unknown_name_is_refused_with_the_nearest_and_the_forms() -> None:
    with pytest.raises(ModelError) as refusal:
        catalog.find("resnet50_imagnet")
    assert str(refusal.value) == (
        "There is no backbone 'resnet50_imagnet'. Did you mean 'resnet50_imagenet'? Known forms are hub "
        "names such as 'resnet50_imagenet', class names such as 'ResNet50', and 'paddle.vision:resnet50'; "
        "`hubtune hub list` shows all."
    )


def test_a_name_given_twice_is_refused() -> None:
    record = catalog.find("smallnet")
    with pytest.raises(ValueError, match="two backbones are called 'smallnet'"):
        catalog._by_name([record, record])
