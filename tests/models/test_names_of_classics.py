"""The names and files under which PaddleCV, PaddleClas and PaddleHub know the classic networks."""

import pytest

from hubtune.models.catalog import find

# PaddleCV's table of models: its name, the hub name, top-1 in percent where PaddleClas gives the same.
PADDLECV = [
    ("AlexNet", "alexnet_imagenet", None),
    ("VGG11", "vgg11_imagenet", None),
    ("VGG13", "vgg13_imagenet", None),
    ("VGG16", "vgg16_imagenet", None),
    ("VGG19", "vgg19_imagenet", None),
    ("MobileNetV1", "mobilenet_v1_imagenet", 70.99),
    ("MobileNetV2", "mobilenet_v2_imagenet", 72.15),
    ("ResNet18", "resnet18_imagenet", 70.98),
    ("ResNet34", "resnet34_imagenet", 74.57),
    ("ResNet50", "resnet50_imagenet", 76.50),
    ("ResNet50_vc", "resnet50_vc_imagenet", 78.35),
    ("ResNet50_vd", "resnet50_vd_imagenet", 79.12),
    ("ResNet50_vd_v2", "resnet50_vd_imagenet_v2", 79.84),
    ("ResNet101", "resnet101_imagenet", 77.56),
    # 79.44 there, of an earlier file.
    ("ResNet101_vd", "resnet101_vd_imagenet", None),
    ("ResNet152", "resnet152_imagenet", 78.26),
    ("ResNet152_vd", "resnet152_vd_imagenet", 80.59),
    ("ResNet200_vd", "resnet200_vd_imagenet", 80.93),
    # 79.35 there.
    ("ResNeXt101_64x4d", "resnext101_64x4d_imagenet", None),
    ("ResNeXt101_vd_64x4d", "resnext101_vd_64x4d_imagenet", 80.78),
    ("SE_ResNeXt50_32x4d", "se_resnext50_32x4d_imagenet", 78.44),
    # 79.12 there.
    ("SE_ResNeXt101_32x4d", "se_resnext101_32x4d_imagenet", None),
    ("SE154_vd", "senet154_vd_imagenet", 81.40),
    ("GoogleNet", "googlenet_imagenet", 70.70),
    ("ShuffleNetV2", "shufflenet_v2_swish_imagenet", 70.03),
    ("InceptionV4", "inceptionv4_imagenet", 80.77),
]


def test_paddlecvs_table_has_26_names() -> None:
    assert len({name for name, _, _ in PADDLECV}) == 26


@pytest.mark.parametrize(("name", "hub_name", "top1"), PADDLECV)
def test_name_of_paddlecv_finds_the_network_with_its_accuracy(
    name: str, hub_name: str, top1: float | None
) -> None:
    found = find(name)
    assert found.name == hub_name
    assert top1 is None or found.weights.top1 == top1


@pytest.mark.parametrize(
    ("names", "architecture", "file", "top1", "top5"),
    [
        (
            ("resnet34_vd_imagenet_ssld", "ResNet34_vd_ssld"),
            "ResNet34_vd",
            "legendary_models/ResNet34_vd_ssld",
            79.72,
            94.90,
        ),
        (
            ("resnet50_vd_imagenet_ssld", "ResNet50_vd_ssld"),
            "ResNet50_vd",
            "legendary_models/ResNet50_vd_ssld",
            83.00,
            96.40,
        ),
        (
            ("resnet50_vd_imagenet_ssld_v2", "ResNet50_vd_ssld_v2"),
            "ResNet50_vd",
            "ResNet50_vd_ssld_v2",
            83.00,
            96.40,
        ),
        (("resnet50_vd_imagenet_v2", "ResNet50_vd_v2"), "ResNet50_vd", "ResNet50_vd_v2", 79.84, 94.93),
        (
            ("resnet101_vd_imagenet_ssld", "ResNet101_vd_ssld"),
            "ResNet101_vd",
            "legendary_models/ResNet101_vd_ssld",
            83.73,
            96.69,
        ),
        (
            ("mobilenet_v1_imagenet_ssld", "MobileNetV1_ssld"),
            "MobileNetV1",
            "legendary_models/MobileNetV1_ssld",
            77.89,
            93.94,
        ),
        (("mobilenet_v2_imagenet_ssld", "MobileNetV2_ssld"), "MobileNetV2", "MobileNetV2_ssld", 76.74, 93.39),
    ],
)
def test_variant_is_another_file_for_the_same_network(
    names: tuple[str, ...], architecture: str, file: str, top1: float, top5: float
) -> None:
    base = find(architecture)
    for name in names:
        variant = find(name)
        assert variant.name == names[0]
        assert variant.backbone is base.backbone
        assert variant.weights != base.weights
        assert variant.weights.url == (
            f"https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/{file}_pretrained.pdparams"
        )
        assert (variant.weights.top1, variant.weights.top5) == (top1, top5)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        *((f"resnet_v2_{layers}_imagenet", f"ResNet{layers}") for layers in (18, 34, 50, 101, 152)),
        ("inception_v4_imagenet", "InceptionV4"),
        ("shufflenet_v2_imagenet", "ShuffleNetV2_x1_0"),
        ("se_resnet18_vd_imagenet", "SE_ResNet18_vd"),
        ("resnext152_vd_64x4d_imagenet", "ResNeXt152_vd_64x4d"),
        ("GoogLeNet", "GoogleNet"),
        ("SENet154_vd", "SE154_vd"),
        ("ShuffleNetV2_swish", "ShuffleNetV2"),
    ],
)
def test_names_of_paddlehub_and_paddleclas_mean_the_same(name: str, alias: str) -> None:
    assert find(name) is find(alias)


@pytest.mark.parametrize("name", ["Xception41", "Xception65", "Xception71", "InceptionV4"])
def test_networks_for_299_pixels_resize_to_320(name: str) -> None:
    record = find(name).backbone
    assert (record.resize, record.input_size) == (320, 299)
