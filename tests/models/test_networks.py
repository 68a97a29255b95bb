"""Every network is what its record says, answers as the original does, and has the names people know."""

import pkgutil
from importlib import import_module
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.vision import models as paddle_models
from support.backbones import (
    GOLDEN,
    check_golden,
    check_record,
    check_reference,
    random_images,
    records_of,
    shapes,
    slow,
)

from hubtune import models
from hubtune.models import catalog
from hubtune.models.backbone import head_keys
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
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
QUICK_GOLDEN = [
    *("EfficientNetB0_small", "ESNet_x0_25", "GhostNet_x0_5", "MobileNetV3_small_x1_0", "PPHGNetV2_B0"),
    *("PPLCNet_x1_0", "LeViT_128S", "ReXNet_1_0", "RepVGG_A0", "dinov2_vits14"),
]
SLOW_GOLDEN = sorted({path.stem for path in GOLDEN.glob("*.json")} - {*QUICK_GOLDEN})
PADDLECLAS_FILES = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/"
SWIN = "SwinTransformer_tiny_patch4_window7_224"


def test_every_family_in_the_folder_is_in_the_catalog():
    assert {each.name: each for family in FAMILIES for each in family.BACKBONES} == catalog.BACKBONES
    # The publishers resize for these inputs of 299 pixels to 320.
    for name in ("InceptionV4", "Xception41", "Xception65", "Xception71"):
        assert (find(name).backbone.resize, find(name).backbone.input_size) == (320, 299)


@pytest.mark.parametrize("record", [record for family in FAMILIES for record in records_of(family)])
def test_a_record_says_what_its_network_is(record):
    # Below this side an Inception v3 has nothing left to convolve.
    small_size = 80 if record.name == "paddle.vision:inception_v3" else 64
    head_tensors = 6 if record.name == "googlenet_imagenet" else 2
    check_record(record, small_size=small_size, head_tensors=head_tensors)


@pytest.mark.parametrize("name", [*REFERENCES, *slow(*SLOW_REFERENCES)])
def test_scores_are_those_of_paddleclas(name, material):
    check_reference(name, material)


@pytest.mark.parametrize("name", [*QUICK_GOLDEN, *slow(*SLOW_GOLDEN)])
def test_scores_are_the_golden_ones(name):
    check_golden(name)


def test_keys_are_the_published_ones():
    networks = (find(f"{name}_imagenet").backbone.build(num_classes=9) for name in ("resnet50", "xception71"))
    keys = {key for network in networks for key in shapes(network)}
    assert {"blocks.0.short.bn._mean", "_exit_flow._conv_2._pointwise_conv._conv.weight", "fc.weight"} <= keys


def test_names_of_other_programs_are_known():
    """The file has PaddleCV's, PaddleClas's or PaddleHub's name, hub name, top-1 in PaddleCV's table."""
    lines = Path(__file__).with_name("names_of_other_programs.txt").read_text().splitlines()
    assert len(lines) > 30
    for name, hub_name, *top1 in map(str.split, lines):
        entry = find(name)
        assert entry.name == hub_name
        assert top1 in ([], [str(entry.weights.top1)]), name


@pytest.mark.parametrize(
    ("alias", "architecture", "file", "accuracy"),
    [
        ("GhostNet_x1_3_ssld", "GhostNet_x1_3", "GhostNet_x1_3_ssld", (79.38, 94.49)),
        ("HRNet_W48_C_ssld", "HRNet_W48_C", "legendary_models/HRNet_W48_C_ssld", (83.63, 96.82)),
        ("MobileNetV1_ssld", "MobileNetV1", "legendary_models/MobileNetV1_ssld", (77.89, 93.94)),
        ("MobileNetV2_ssld", "MobileNetV2", "MobileNetV2_ssld", (76.74, 93.39)),
        ("PPHGNetV2_B0_ssld_stage1", "PPHGNetV2_B0", "legendary_models/PPHGNetV2_B0_ssld_stage1", None),
        (
            "Res2Net200_vd_26w_4s_ssld",
            "Res2Net200_vd_26w_4s",
            "Res2Net200_vd_26w_4s_ssld",
            (85.13, 97.42),
        ),
        ("PPHGNet_small_ssld", "PPHGNet_small", "legendary_models/PPHGNet_small_ssld", (83.82, 96.81)),
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


@paddle.no_grad()
def test_googlenets_auxiliary_outputs_are_paddles_own():
    theirs = paddle_models.googlenet(num_classes=5)
    classifier = Classifier(find("googlenet_imagenet").backbone, 5)
    classifier.load_backbone(theirs)
    plain = set(classifier.state())
    classifier.take_auxiliary_outputs(seed=3)
    first, second = (layer.weight.numpy() for layer in classifier.auxiliary)
    assert (first != second).any()
    assert plain == set(classifier.state())  # of the model; a checkpoint has the outputs, too
    assert set(classifier.training_state()) - plain == {
        f"auxiliary.{number}.{name}" for number in (0, 1) for name in ("weight", "bias")
    }
    for layer, their_layer in zip(classifier.auxiliary, (theirs._out1, theirs._out2), strict=True):
        layer.set_state_dict(their_layer.state_dict())
    images = random_images(224)
    theirs.eval()
    classifier.eval()
    logits = classifier.training_logits(images).numpy()
    np.testing.assert_array_equal(logits[:, 0], classifier(images).numpy())
    expected = paddle.stack(theirs(images)[1:], axis=1).numpy()
    np.testing.assert_allclose(logits[:, 1:], expected, atol=1e-6)
