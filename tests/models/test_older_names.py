"""Files of PaddleClas 2.0 and PaddleHub 2, whose layers have other names, fit the networks."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.models.catalog import find
from hubtune.models.resnet import DEPTHS


def tensors(network: nn.Layer) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in network.state_dict().items()}


def older_parts(rest: str) -> str:
    """Return the names inside a layer: ``conv0.bn._mean`` → ``conv0._batch_norm._mean``."""
    return ".".join({"conv": "_conv", "bn": "_batch_norm"}.get(part, part) for part in rest.split("."))


def older_blocks(layers: int, vd: bool) -> list[str]:
    """Return the blocks' names as PaddleClas 2.0's ``resnet.py`` and ``resnet_vd.py`` make them."""
    names = []
    for stage, depth in enumerate(DEPTHS[layers]):
        for number in range(depth):
            if vd:
                names.append(f"bb_{stage}_{number}")
            elif layers in (101, 152) and stage == 2:
                names.append("res4a" if number == 0 else f"res4b{number}")
            else:
                names.append(f"res{stage + 2}{chr(ord('a') + number)}")
    return names


def older(key: str, blocks: list[str], stem: dict[str, str]) -> str:
    layer, _, rest = key.partition(".")
    if layer == "fc":
        return f"out.{rest}"
    number, _, rest = rest.partition(".")
    return f"{stem[number] if layer == 'stem' else blocks[int(number)]}.{older_parts(rest)}"


@pytest.mark.parametrize(
    ("layers", "vd"),
    [
        (18, True),
        (50, True),
        (18, False),
        (50, False),
        *(pytest.param(layers, vd, marks=pytest.mark.slow) for layers in (101, 152) for vd in (True, False)),
        pytest.param(200, True, marks=pytest.mark.slow),
    ],
)
def test_older_resnet_file_gives_the_same_tensors(layers: int, vd: bool) -> None:
    record = find(f"ResNet{layers}{'_vd' if vd else ''}").backbone
    official = tensors(record.build(num_classes=7))
    blocks = older_blocks(layers, vd)
    stem = {"0": "conv1_1", "1": "conv1_2", "2": "conv1_3"} if vd else {"0": "conv"}
    file = {older(key, blocks, stem): value for key, value in official.items()}
    assert not file.keys() & official.keys()

    translated = record.translate(file)
    assert translated.keys() == official.keys()
    assert all(translated[key] is official[key] for key in official)


@paddle.no_grad()
def test_file_with_the_names_of_paddlehubs_resnet50_vd_fits() -> None:
    # PaddleHub's module has the layers of PaddleClas's ResNet50_vc, with an average before three projections.
    file = tensors(find("ResNet50_vc").backbone.build(num_classes=5))
    record = find("resnet50_vd_imagenet_ssld").backbone
    network = record.build(num_classes=5)
    missing, unexpected = network.set_state_dict(record.translate(file))
    assert (missing, unexpected) == ([], [])
    np.testing.assert_array_equal(
        network.blocks[3].short.conv.weight.numpy(), file["bb_1_0.short._conv.weight"]
    )


@pytest.mark.parametrize(
    ("name", "key", "official"),
    [
        ("ResNet50_vd", "conv1_2._batch_norm._variance", "stem.1.bn._variance"),
        ("ResNet50_vd", "bb_2_5.conv1._conv.weight", "blocks.12.conv1.conv.weight"),
        ("ResNet50", "res4f.conv1._conv.weight", "blocks.12.conv1.conv.weight"),
        ("ResNet101", "res4b22.conv2._batch_norm.bias", "blocks.29.conv2.bn.bias"),
        ("ResNet101", "res5a.short._conv.weight", "blocks.30.short.conv.weight"),
        ("ResNet50_vd", "out.bias", "fc.bias"),
        ("MobileNetV1", "conv1._conv.weight", "conv.conv.weight"),
        ("MobileNetV1", "conv2_1._depthwise_conv._conv.weight", "blocks.0.depthwise_conv.conv.weight"),
        ("MobileNetV1", "conv5_6._pointwise_conv._batch_norm._mean", "blocks.11.pointwise_conv.bn._mean"),
        ("MobileNetV1", "conv6._depthwise_conv._batch_norm.bias", "blocks.12.depthwise_conv.bn.bias"),
        ("VGG19", "_conv_block_5._conv_4.weight", "conv_block_5.conv4.weight"),
        ("VGG11", "_fc2.bias", "fc2.bias"),
        ("VGG11", "_out.weight", "fc3.weight"),
    ],
)
def test_older_name_becomes_the_official_one(name: str, key: str, official: str) -> None:
    value = np.zeros(1, "float32")
    translated = find(name).backbone.translate({key: value})
    assert list(translated) == [official]
    assert translated[official] is value


@pytest.mark.parametrize("name", ["ResNet18", "ResNet18_vd", "MobileNetV1"])
def test_official_file_and_unknown_names_pass_unchanged(name: str) -> None:
    record = find(name).backbone
    file = tensors(record.build(num_classes=3)) | {"StructuredToParameterName@@": np.zeros(1)}
    translated = record.translate(file)
    assert translated.keys() == file.keys()
    assert all(translated[key] is file[key] for key in file)


def test_older_mobilenet_v1_file_gives_the_same_tensors() -> None:
    record = find("MobileNetV1").backbone
    official = tensors(record.build(num_classes=3))
    blocks = ["conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"]
    blocks += ["conv5_1", "conv5_2", "conv5_3", "conv5_4", "conv5_5", "conv5_6", "conv6"]
    file = {}
    for key, value in official.items():
        layer, _, rest = key.partition(".")
        if layer == "blocks":
            number, conv, rest = rest.split(".", 2)
            layer = f"{blocks[int(number)]}._{conv}"
        outer = {"conv": "conv1", "fc": "out"}.get(layer, layer)
        file[f"{outer}.{older_parts(rest)}"] = value
    assert not file.keys() & official.keys()

    translated = record.translate(file)
    assert translated.keys() == official.keys()
    assert all(translated[key] is official[key] for key in official)
