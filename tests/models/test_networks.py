"""Every network is what its record says, answers as the original does, and has the names people know."""

import pkgutil
from importlib import import_module

import numpy as np
import paddle
import pytest
from models.deterministic import image
from paddle.vision import models as paddle_models
from support.backbones import (
    GOLDEN,
    TOLERANCE,
    check_golden,
    check_record,
    check_reference,
    golden,
    golden_network,
    random_images,
    records_of,
    shapes,
    slow,
)

from hubtune import models
from hubtune.models import catalog
from hubtune.models.backbone import head_keys
from hubtune.models.catalog import find
from hubtune.models.transformer import DropPath

MODULES = [import_module(module.name) for module in pkgutil.iter_modules(models.__path__, "hubtune.models.")]
FAMILIES = [module for module in MODULES if hasattr(module, "BACKBONES") and module is not catalog]
REFERENCES = [
    *("GoogLeNet", "MobileNetV1", "MobileNetV2", "ResNet18", "ResNet18_vd", "ResNet50"),
    *("ShuffleNetV2_swish", "ShuffleNetV2_x1_0", "Xception41"),
]
SLOW_REFERENCES = [
    *("AlexNet", "InceptionV4", "ResNet34", "ResNet34_vd", "ResNet50_vc", "ResNet50_vd", "ResNet101"),
    *("ResNet101_vd", "ResNet152", "ResNet152_vd", "ResNet200_vd", "ResNeXt101_64x4d", "ResNeXt101_vd_64x4d"),
    *("SENet154_vd", "SE_ResNeXt101_32x4d", "SE_ResNeXt50_32x4d", "VGG11", "VGG13", "VGG16", "VGG19"),
    *("Xception65", "Xception71"),
]
QUICK_GOLDEN = ["MobileNetV3_small_x1_0", "PPHGNetV2_B0", "PPLCNet_x1_0", "dinov2_vits14"]
SLOW_GOLDEN = sorted({path.stem for path in GOLDEN.glob("*.json")} - {*QUICK_GOLDEN})
PADDLECLAS_FILES = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/"
SWIN = "SwinTransformer_tiny_patch4_window7_224"


def test_every_family_in_the_folder_is_in_the_catalog():
    walked = {record.name: record for family in FAMILIES for record in family.BACKBONES}
    assert walked == catalog.BACKBONES


@pytest.mark.parametrize("record", [record for family in FAMILIES for record in records_of(family)])
def test_a_record_says_what_its_network_is(record):
    # Below this side an Inception v3 has nothing left to convolve.
    small_size = 80 if record.name == "paddle.vision:inception_v3" else 64
    head_tensors = 6 if record.name == "googlenet_imagenet" else 2
    check_record(record, small_size=small_size, head_tensors=head_tensors)


@pytest.mark.parametrize("name", [*REFERENCES, *slow(*SLOW_REFERENCES)])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


def test_every_reference_is_compared(material):
    references = [path.stem for path in (material / "architectures").glob("*.json")]
    assert sorted(references) == sorted([*REFERENCES, *SLOW_REFERENCES])


@pytest.mark.parametrize("name", [*QUICK_GOLDEN, *slow(*SLOW_GOLDEN)])
def test_scores_are_the_golden_ones(name):
    check_golden(name)


@pytest.mark.parametrize("name", ["MobileNetV3_small_x1_0", "PPHGNetV2_B0", "PPLCNet_x1_0", SWIN])
@paddle.no_grad()
def test_golden_scores_depend_on_the_image(name):
    network = golden_network(find(name).backbone, golden(name)["keys"])
    images = image(96, 96)
    one, other = network(paddle.to_tensor(np.concatenate([images, images[:, :, ::-1]]))).numpy()
    assert np.abs(one - other).max() > 1000 * TOLERANCE * np.abs(one).max()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (
            "resnet50_imagenet",
            {
                "stem.0.conv.weight": [64, 3, 7, 7],
                "blocks.0.short.bn._mean": [256],
                "blocks.15.conv2.conv.weight": [2048, 512, 1, 1],
                "fc.weight": [2048, 1000],
            },
        ),
        (
            "xception71_imagenet",
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
def test_keys_are_the_published_ones(name, keys):
    assert keys.items() <= shapes(find(name).backbone.build(num_classes=1000)).items()


# PaddleCV's, PaddleClas's and PaddleHub's name, hub name, top-1 accuracy in PaddleCV's table.
@pytest.mark.parametrize(
    ("name", "hub_name", "top1"),
    [
        ("AlexNet", "alexnet_imagenet", None),
        ("GoogleNet", "googlenet_imagenet", 70.7),
        ("GoogLeNet", "googlenet_imagenet", None),
        ("InceptionV4", "inceptionv4_imagenet", 80.77),
        ("inception_v4_imagenet", "inceptionv4_imagenet", None),
        ("MobileNetV1", "mobilenet_v1_imagenet", 70.99),
        ("MobileNetV2", "mobilenet_v2_imagenet", 72.15),
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
        *((f"resnet_v2_{n}_imagenet", f"resnet{n}_imagenet", None) for n in (18, 34, 50, 101, 152)),
        ("ResNeXt101_64x4d", "resnext101_64x4d_imagenet", None),
        ("ResNeXt101_vd_64x4d", "resnext101_vd_64x4d_imagenet", 80.78),
        ("ResNeXt152_vd_64x4d", "resnext152_vd_64x4d_imagenet", None),
        ("SE_ResNet18_vd", "se_resnet18_vd_imagenet", None),
        ("SE_ResNeXt50_32x4d", "se_resnext50_32x4d_imagenet", 78.44),
        ("SE_ResNeXt101_32x4d", "se_resnext101_32x4d_imagenet", None),
        ("SE154_vd", "senet154_vd_imagenet", 81.4),
        ("SENet154_vd", "senet154_vd_imagenet", None),
        ("ShuffleNetV2", "shufflenet_v2_swish_imagenet", 70.03),
        ("ShuffleNetV2_swish", "shufflenet_v2_swish_imagenet", None),
        ("ShuffleNetV2_x1_0", "shufflenet_v2_imagenet", None),
        *((f"VGG{n}", f"vgg{n}_imagenet", None) for n in (11, 13, 16, 19)),
        ("Xception71", "xception71_imagenet", None),
    ],
)
def test_names_of_other_programs_are_known(name, hub_name, top1):
    entry = find(name)
    assert entry.name == hub_name
    assert top1 is None or entry.weights.top1 == top1


@pytest.mark.parametrize(
    ("alias", "architecture", "file", "accuracy"),
    [
        ("MobileNetV1_ssld", "MobileNetV1", "legendary_models/MobileNetV1_ssld", (77.89, 93.94)),
        ("MobileNetV2_ssld", "MobileNetV2", "MobileNetV2_ssld", (76.74, 93.39)),
        ("PPHGNetV2_B0_ssld_stage1", "PPHGNetV2_B0", "legendary_models/PPHGNetV2_B0_ssld_stage1", None),
        ("ResNet34_vd_ssld", "ResNet34_vd", "legendary_models/ResNet34_vd_ssld", (79.72, 94.9)),
        ("ResNet50_vd_ssld", "ResNet50_vd", "legendary_models/ResNet50_vd_ssld", (83.0, 96.4)),
        ("ResNet50_vd_ssld_v2", "ResNet50_vd", "ResNet50_vd_ssld_v2", (83.0, 96.4)),
        ("ResNet50_vd_v2", "ResNet50_vd", "ResNet50_vd_v2", (79.84, 94.93)),
        ("ResNet101_vd_ssld", "ResNet101_vd", "legendary_models/ResNet101_vd_ssld", (83.73, 96.69)),
    ],
)
def test_variants_are_other_weights_of_the_same_network(alias, architecture, file, accuracy):
    base, variant = find(architecture), find(alias)
    assert variant.name == f"{base.backbone.name}_{alias.removeprefix(f'{architecture}_')}"
    assert find(variant.name) is variant
    assert variant.backbone is base.backbone and variant.weights != base.weights
    assert variant.weights.url == f"{PADDLECLAS_FILES}{file}_pretrained.pdparams"
    assert (variant.weights.top1, variant.weights.top5) == (accuracy or (None, None))


@pytest.mark.parametrize("name", ["InceptionV4", "Xception41", "Xception65", "Xception71"])
def test_inputs_of_299_pixels_are_resized_to_320(name):
    record = find(name).backbone
    assert (record.resize, record.input_size) == (320, 299)


@pytest.mark.parametrize(("name", "most"), [("ConvNeXt_tiny", 0.1), (SWIN, 0.2)])
def test_stochastic_depth_grows_to_its_maximum(name, most):
    layers = find(name).backbone.build(num_classes=2).sublayers()
    rates = [layer._rate for layer in layers if isinstance(layer, DropPath)]
    assert (rates[0], rates[-1], rates) == (0, most, sorted(rates))


@paddle.no_grad()
def test_googlenet_answers_as_the_main_output_of_paddles_own_and_only_its_heads_depend_on_the_classes():
    record = find("googlenet_imagenet").backbone
    theirs, ours, other = paddle_models.googlenet(), *(record.build(num_classes=n) for n in (1000, 5))
    assert shapes(ours) == shapes(theirs)
    ours.set_state_dict(theirs.state_dict())
    theirs.eval()
    ours.eval()
    images = random_images(224)
    np.testing.assert_allclose(ours(images).numpy(), theirs(images)[0].numpy(), atol=1e-6)
    changed = {key for key, shape in shapes(other).items() if shape != shapes(theirs)[key]}
    assert changed == head_keys(other, record.stages(other))
