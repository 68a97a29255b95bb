"""Our architectures answer as the original implementations do.

The references are not part of the project: ``HUBTUNE_TEST_MATERIAL`` names a folder with
``architectures/<class>.json`` (state-dict keys with shapes, parameter count, logits),
``architectures/reference_weights.py`` (the weights and the picture that belong to the logits), and
``weights/`` (real weights and photos).
"""

import json
import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image
from safetensors.numpy import load_file

from hubtune.models.catalog import find

QUICK = (
    "GoogLeNet",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet18",
    "ResNet18_vd",
    "ResNet50",
    "ShuffleNetV2_swish",
    "ShuffleNetV2_x1_0",
    "Xception41",
)
HEAVY = (
    "AlexNet",
    "InceptionV4",
    "ResNeXt101_64x4d",
    "ResNeXt101_vd_64x4d",
    "ResNet101",
    "ResNet101_vd",
    "ResNet152",
    "ResNet152_vd",
    "ResNet200_vd",
    "ResNet34",
    "ResNet34_vd",
    "ResNet50_vc",
    "ResNet50_vd",
    "SENet154_vd",
    "SE_ResNeXt101_32x4d",
    "SE_ResNeXt50_32x4d",
    "VGG11",
    "VGG13",
    "VGG16",
    "VGG19",
    "Xception65",
    "Xception71",
)


@pytest.fixture
def material() -> Path:
    folder = os.environ.get("HUBTUNE_TEST_MATERIAL")
    if not folder:
        pytest.skip("HUBTUNE_TEST_MATERIAL does not name the folder with the reference logits")
    return Path(folder)


def reference_weights(folder: Path) -> ModuleType:
    spec = spec_from_file_location("reference_weights", folder / "reference_weights.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shapes(network: nn.Layer) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def trainable(network: nn.Layer) -> int:
    return sum(parameter.size for parameter in network.parameters() if not parameter.stop_gradient)


def test_every_architecture_with_a_reference_is_compared(material: Path) -> None:
    assert {path.stem for path in (material / "architectures").glob("*.json")} == {*QUICK, *HEAVY}


@pytest.mark.parametrize("alias", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
@paddle.no_grad()
def test_keys_shapes_and_logits_equal_the_original(alias: str, material: Path) -> None:
    reference = json.loads((material / "architectures" / f"{alias}.json").read_text("utf-8"))
    made = reference_weights(material / "architectures")
    record = find(alias).backbone
    network = record.build(num_classes=1000)
    network.eval()
    assert shapes(network) == reference["keys"]
    assert trainable(network) == reference["trainable_parameters"]
    assert record.input_size == reference["input_size"]

    network.set_state_dict(made.weights(reference["keys"], reference["seed"]))
    images = paddle.to_tensor(made.image(reference["input_size"], reference["seed"]))
    logits = np.array(reference["logits"])
    assert np.abs(network(images).numpy()[0] - logits).max() <= 1e-4 * np.abs(logits).max()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("paddle.vision:mobilenet_v2", "mobilenetv2_1.0_imagenet.safetensors"),
        ("paddle.vision:squeezenet1_0", "squeezenet1_0_imagenet.safetensors"),
    ],
)
@paddle.no_grad()
def test_real_weights_fit_and_recognise_a_photo(name: str, file: str, material: Path) -> None:
    record = find(name).backbone
    network = record.build(num_classes=1000)
    network.eval()
    weights = load_file(material / "weights" / file)
    assert {key: list(value.shape) for key, value in weights.items()} == shapes(network)

    network.set_state_dict(weights)
    with Image.open(material / "weights" / "check_photos" / "parrot.jpg") as photo:
        photo = photo.convert("RGB").resize((record.input_size, record.input_size), Image.Resampling.BILINEAR)
    values = (np.asarray(photo, "float32") / 255 - np.float32(record.mean)) / np.float32(record.std)
    macaw = 88
    assert network(paddle.to_tensor(values.transpose(2, 0, 1)[None])).argmax().item() == macaw


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        (
            "resnet50_imagenet",
            25_557_032,
            {
                "stem.0.conv.weight": [64, 3, 7, 7],
                "blocks.0.short.bn._mean": [256],
                "blocks.15.conv2.conv.weight": [2048, 512, 1, 1],
                "fc.weight": [2048, 1000],
            },
        ),
        (
            "xception71_imagenet",
            37_678_496,
            {
                "_entry_flow._conv1._conv.weight": [32, 3, 3, 3],
                "_entry_flow._conv_4._short.weight": [728, 728, 1, 1],
                "_middle_flow._conv_15._conv_2._depthwise_conv._conv.weight": [728, 1, 3, 3],
                "_exit_flow._conv_2._pointwise_conv._batch_norm._variance": [2048],
                "_exit_flow._out.weight": [2048, 1000],
            },
        ),
    ],
)
def test_known_size_and_keys(name: str, parameters: int, expected: dict[str, list[int]]) -> None:
    network = find(name).backbone.build(num_classes=1000)
    assert trainable(network) == parameters
    assert expected.items() <= shapes(network).items()
