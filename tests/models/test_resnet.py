"""ResNet and its variants, with the names of older files."""

import numpy as np
import paddle
import pytest
from support.backbones import (
    arrays_of,
    check_name,
    check_own_names_pass,
    check_record,
    check_reference,
    check_translated_name,
    check_translation,
    check_variant,
    count_trained,
    older_parts,
    records_of,
    slow,
)

from hubtune.models import resnet
from hubtune.models.catalog import find
from hubtune.models.resnet import DEPTHS


@pytest.mark.parametrize("record", records_of(resnet))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize(
    "name",
    [
        "ResNet18",
        "ResNet18_vd",
        "ResNet50",
        *slow(
            "ResNet34",
            "ResNet34_vd",
            "ResNet50_vc",
            "ResNet50_vd",
            "ResNet101",
            "ResNet101_vd",
            "ResNet152",
            "ResNet152_vd",
            "ResNet200_vd",
        ),
    ],
)
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("ResNet18", "resnet18_imagenet", 70.98),
        ("ResNet34", "resnet34_imagenet", 74.57),
        ("ResNet50", "resnet50_imagenet", 76.5),
        ("ResNet50_vc", "resnet50_vc_imagenet", 78.35),
        ("ResNet50_vd", "resnet50_vd_imagenet", 79.12),
        ("ResNet50_vd_v2", "resnet50_vd_imagenet_v2", 79.84),
        ("ResNet101", "resnet101_imagenet", 77.56),
        ("ResNet101_vd", "resnet101_vd_imagenet", None),
        ("ResNet152", "resnet152_imagenet", 78.26),
        ("ResNet152_vd", "resnet152_vd_imagenet", 80.59),
        ("ResNet200_vd", "resnet200_vd_imagenet", 80.93),
    ],
)
def test_names_of_paddlecv_are_known(name, hub_name, top1):
    check_name(name, hub_name, top1)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("resnet_v2_18_imagenet", "ResNet18"),
        ("resnet_v2_34_imagenet", "ResNet34"),
        ("resnet_v2_50_imagenet", "ResNet50"),
        ("resnet_v2_101_imagenet", "ResNet101"),
        ("resnet_v2_152_imagenet", "ResNet152"),
    ],
)
def test_names_of_paddlehub_and_paddleclas_mean_the_same(name, alias):
    assert find(name) is find(alias)


@pytest.mark.parametrize(
    ("alias", "architecture", "file", "accuracy"),
    [
        ("ResNet34_vd_ssld", "ResNet34_vd", "legendary/ResNet34_vd_ssld", (79.72, 94.9)),
        ("ResNet50_vd_ssld", "ResNet50_vd", "legendary/ResNet50_vd_ssld", (83.0, 96.4)),
        ("ResNet50_vd_ssld_v2", "ResNet50_vd", "ResNet50_vd_ssld_v2", (83.0, 96.4)),
        ("ResNet50_vd_v2", "ResNet50_vd", "ResNet50_vd_v2", (79.84, 94.93)),
        ("ResNet101_vd_ssld", "ResNet101_vd", "legendary/ResNet101_vd_ssld", (83.73, 96.69)),
    ],
)
def test_variants_are_other_weights_of_the_same_network(alias, architecture, file, accuracy):
    check_variant(alias, architecture, file, accuracy)


@pytest.mark.parametrize(
    ("name", "key", "own"),
    [
        ("ResNet50_vd", "conv1_2._batch_norm._variance", "stem.1.bn._variance"),
        ("ResNet50_vd", "bb_2_5.conv1._conv.weight", "blocks.12.conv1.conv.weight"),
        ("ResNet50", "res4f.conv1._conv.weight", "blocks.12.conv1.conv.weight"),
        ("ResNet101", "res4b22.conv2._batch_norm.bias", "blocks.29.conv2.bn.bias"),
        ("ResNet101", "res5a.short._conv.weight", "blocks.30.short.conv.weight"),
        ("ResNet50_vd", "out.bias", "fc.bias"),
    ],
)
def test_older_names_become_the_networks_own(name, key, own):
    check_translated_name(name, key, own)


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


def older_name(key, blocks, stem):
    layer, _, rest = key.partition(".")
    if layer == "fc":
        return f"out.{rest}"
    number, _, rest = rest.partition(".")
    return f"{stem[number] if layer == 'stem' else blocks[int(number)]}.{older_parts(rest)}"


@pytest.mark.parametrize(
    "name",
    [
        "ResNet18",
        "ResNet18_vd",
        "ResNet50",
        "ResNet50_vd",
        *slow("ResNet101", "ResNet101_vd", "ResNet152", "ResNet152_vd", "ResNet200_vd"),
    ],
)
def test_an_older_file_gives_the_same_tensors(name):
    vd = name.endswith("_vd")
    record = find(name).backbone
    own = arrays_of(record.build(num_classes=7))
    blocks = older_blocks(int(name.removeprefix("ResNet").removesuffix("_vd")), vd)
    stem = {"0": "conv1_1", "1": "conv1_2", "2": "conv1_3"} if vd else {"0": "conv"}
    file = {older_name(key, blocks, stem): value for key, value in own.items()}
    assert not file.keys() & own.keys()
    check_translation(record, file, own)


@pytest.mark.parametrize("name", ["ResNet18", "ResNet18_vd"])
def test_own_names_pass_unchanged(name):
    check_own_names_pass(name)


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


def test_size_and_keys_are_the_published_ones():
    network = find("resnet50_imagenet").backbone.build(num_classes=1000)
    assert count_trained(network) == 25_557_032
    expected = {
        "stem.0.conv.weight": [64, 3, 7, 7],
        "blocks.0.short.bn._mean": [256],
        "blocks.15.conv2.conv.weight": [2048, 512, 1, 1],
        "fc.weight": [2048, 1000],
    }
    assert {key: network.state_dict()[key].shape for key in expected} == expected
