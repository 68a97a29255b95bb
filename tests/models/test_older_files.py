"""Files of PaddleClas 2.0 and PaddleHub 2, whose tensors have other names."""

import numpy as np
import paddle
import pytest
from support.backbones import arrays_of, check_translation, slow

from hubtune.models.catalog import find
from hubtune.models.resnet import DEPTHS

MOBILENET_BLOCKS = ["conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"]
MOBILENET_BLOCKS += ["conv5_1", "conv5_2", "conv5_3", "conv5_4", "conv5_5", "conv5_6", "conv6"]


@pytest.mark.parametrize(
    ("name", "key", "own"),
    [
        ("ResNet101", "res4b22.conv2._batch_norm.bias", "blocks.29.conv2.bn.bias"),
        ("ResNet101", "res5a.short._conv.weight", "blocks.30.short.conv.weight"),
        ("VGG19", "_conv_block_5._conv_4.weight", "conv_block_5.conv4.weight"),
        ("VGG11", "_fc2.bias", "fc2.bias"),
        ("VGG11", "_out.weight", "fc3.weight"),
    ],
)
def test_older_names_become_the_networks_own(name, key, own):
    value = np.zeros(1, "float32")
    check_translation(find(name).backbone, {key: value}, {own: value})


def older_parts(rest):
    """Return PaddleClas 2.0's names inside a layer: ``conv0.bn._mean`` → ``conv0._batch_norm._mean``."""
    return ".".join({"conv": "_conv", "bn": "_batch_norm"}.get(part, part) for part in rest.split("."))


def older_blocks(layers, vd):
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


def older_resnet_name(key, blocks, stem):
    layer, _, rest = key.partition(".")
    if layer == "fc":
        return f"out.{rest}"
    number, _, rest = rest.partition(".")
    return f"{stem[number] if layer == 'stem' else blocks[int(number)]}.{older_parts(rest)}"


@pytest.mark.parametrize(
    "name",
    [
        *("ResNet18", "ResNet18_vd", "ResNet50", "ResNet50_vd"),
        *slow("ResNet101", "ResNet101_vd", "ResNet152", "ResNet152_vd", "ResNet200_vd"),
    ],
)
def test_an_older_file_of_a_resnet_gives_the_same_tensors(name):
    vd = name.endswith("_vd")
    record = find(name).backbone
    own = arrays_of(record.build(num_classes=7))
    blocks = older_blocks(int(name.removeprefix("ResNet").removesuffix("_vd")), vd)
    stem = {"0": "conv1_1", "1": "conv1_2", "2": "conv1_3"} if vd else {"0": "conv"}
    file = {older_resnet_name(key, blocks, stem): value for key, value in own.items()}
    assert not file.keys() & own.keys()
    check_translation(record, file, own)


def test_an_older_file_of_mobilenet_v1_gives_the_same_tensors():
    record = find("MobileNetV1").backbone
    own = arrays_of(record.build(num_classes=3))
    file = {}
    for key, value in own.items():
        layer, _, rest = key.partition(".")
        if layer == "blocks":
            number, conv, rest = rest.split(".", 2)
            layer = f"{MOBILENET_BLOCKS[int(number)]}._{conv}"
        outer = {"conv": "conv1", "fc": "out"}.get(layer, layer)
        file[f"{outer}.{older_parts(rest)}"] = value
    assert not file.keys() & own.keys()
    check_translation(record, file, own)


@pytest.mark.parametrize("name", ["MobileNetV1", "ResNet18", "ResNet18_vd"])
def test_own_names_pass_unchanged(name):
    record = find(name).backbone
    file = arrays_of(record.build(num_classes=3)) | {"StructuredToParameterName@@": np.zeros(1)}
    check_translation(record, file, file)


@paddle.no_grad()
def test_a_file_with_the_names_of_paddlehubs_resnet50_vd_fits():
    # PaddleHub's module has the layers of PaddleClas's ResNet50_vc, with an average before three projections.
    file = arrays_of(find("ResNet50_vc").backbone.build(num_classes=5))
    record = find("resnet50_vd_imagenet_ssld").backbone
    network = record.build(num_classes=5)
    missing, unexpected = network.set_state_dict(record.translate(file))
    assert (missing, unexpected) == ([], [])
    projection = network.blocks[3].short.conv.weight
    np.testing.assert_array_equal(projection.numpy(), file["bb_1_0.short._conv.weight"])


def test_masks_in_older_files_of_a_swin_are_left_out():
    own = {"layers.0.blocks.1.attn.qkv.bias": np.ones(3, "f4")}
    file = own | {"layers.0.blocks.1.attn_mask": np.zeros((64, 49, 49), "f4")}
    check_translation(find("SwinTransformer_tiny_patch4_window7_224").backbone, file, own)
