"""Files of PaddleClas 2.0 and PaddleHub 2, whose tensors have other names."""

import re

import numpy as np
import paddle
import pytest
from support.backbones import arrays_of, check_translation, slow

from hubtune.models.catalog import find
from hubtune.models.hrnet import HRNet
from hubtune.models.resnet import DEPTHS

MOBILENET_BLOCKS = [f"conv{stage}_{number}" for stage in (2, 3, 4) for number in (1, 2)]
MOBILENET_BLOCKS += [*(f"conv5_{number}" for number in range(1, 7)), "conv6"]


def test_older_names_of_a_vgg_and_masks_of_a_swin():
    value = np.zeros(1, "float32")
    names = {"_conv_block_5._conv_4.weight": "conv_block_5.conv4.weight", "_out.weight": "fc3.weight"}
    check_translation(
        find("VGG19").backbone, dict.fromkeys(names, value), dict.fromkeys(names.values(), value)
    )
    own = {"layers.0.blocks.1.attn.qkv.bias": value}
    file = own | {"layers.0.blocks.1.attn_mask": np.zeros((64, 49, 49), "f4")}
    check_translation(find("SwinTransformer_tiny_patch4_window7_224").backbone, file, own)


def older_parts(rest):
    return ".".join({"conv": "_conv", "bn": "_batch_norm"}.get(part, part) for part in rest.split("."))


def older_blocks(layers, vd):
    """The blocks' names as PaddleClas 2.0's ``resnet.py`` and ``resnet_vd.py`` make them."""
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
    marked = own | {"StructuredToParameterName@@": np.zeros(1)}
    check_translation(record, marked, marked)  # own names pass unchanged


OLDER_HRNET = (
    (r"^fc\.", lambda _: "out."),
    (r"^layer1\.(\d)", lambda found: f"la1.bb_layer2_{int(found[1]) + 1}"),
    (r"^conv_tr1_(\d)", lambda found: f"tr1.transition_tr1_layer_{found[1]}"),
    (r"^conv_tr2", lambda _: "tr2.transition_tr2_layer_3"),
    (r"^conv_tr3", lambda _: "tr3.transition_tr3_layer_4"),
    (
        r"^(st\d)\.stage_func_list\.(\d)\.basic_block_list\.(\d)\.(\d)",
        lambda found: (
            f"{found[1]}.stage_{found[1]}_{int(found[2]) + 1}.branches_func."
            f"bb_{found[1]}_{int(found[2]) + 1}_branch_layer_{int(found[3]) + 1}_{int(found[4]) + 1}"
        ),
    ),
    (
        r"^(st(\d))\.stage_func_list\.(\d)\.fuse_func\.residual_func_list\.(\d+)",
        lambda found: (
            f"{found[1]}.stage_{found[1]}_{int(found[3]) + 1}.fuse_func.residual_"
            f"{found[1]}_{int(found[3]) + 1}_layer_{OLDER_PATHS[int(found[2])].split()[int(found[4])]}"
        ),
    ),
    (r"^last_cls\.func_list\.(\d)", lambda found: f"last_cls.conv_cls_head_conv_{int(found[1]) + 1}"),
    (r"^cls_head_conv_list\.(\d)", lambda found: f"cls_head_add{int(found[1]) + 1}"),
    (r"\.conv\.", lambda _: "._conv."),
    (r"\.bn\.", lambda _: "._batch_norm."),
    (r"\.fc_(squeeze|excitation)\.", lambda found: f".{found[1]}."),
)
# From which resolution to which, by the number of resolutions.
OLDER_PATHS = {
    2: "1_2 2_1_1",
    3: "1_2 1_3 2_1_1 2_3 3_1_1 3_1_2 3_2_1",
    4: "1_2 1_3 1_4 2_1_1 2_3 2_4 3_1_1 3_1_2 3_2_1 3_4 4_1_1 4_1_2 4_1_3 4_2_1 4_2_2 4_3_1",
}


def test_an_older_file_of_an_hrnet_gives_the_same_tensors():
    record = find("HRNet_W18_C").backbone
    own = arrays_of(HRNet(16, gates=True, num_classes=3))
    file = {}
    for key, value in own.items():
        older = key
        for pattern, replacement in OLDER_HRNET:
            older = re.sub(pattern, replacement, older)
        file[older] = value
    assert not file.keys() & own.keys()
    check_translation(record, file, own)
    check_translation(record, own, own)  # own names pass unchanged


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
    marked = own | {"StructuredToParameterName@@": np.zeros(1)}
    check_translation(record, marked, marked)  # own names pass unchanged


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
