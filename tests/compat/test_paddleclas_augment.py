"""Transforms of PaddleClas become the size, fit and augmentation of a recipe."""

import pytest

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_augment import translate_augmentation
from hubtune.compat.translation import Translation


def translate(train=(), evaluation=(), batch=(), shape=None):
    dataset = {"transform_ops": list(train), "batch_transform_ops": list(batch)}
    data = {
        "Global": {"image_shape": shape},
        "DataLoader": {
            "Train": {"dataset": dataset},
            "Eval": {"dataset": {"transform_ops": list(evaluation)}},
        },
    }
    translation = Translation("c.yaml", {}, {"data": {}, "module": {"name": "ResNet50"}, "train": {}})
    translate_augmentation(ConfigValues(data, "c.yaml"), translation)
    keys = [entry.key.rpartition("_ops.")[2] for entry in translation.left_out]
    return translation.recipe["train"].get("augment"), translation.recipe["data"], keys


@pytest.mark.parametrize(
    ("operation", "augment"),
    [
        ({"RandCropImage": {"size": 224}}, {"crop": [0.08, 1.0]}),
        ({"RandCropImage": {"scale": [0.5, 1], "ratio": [1, 2]}}, {"crop": [0.5, 1], "aspect": [1, 2]}),
        ({"RandFlipImage": {"flip_code": 1}}, {"flip": 0.5}),
        ({"RandFlipImage": {"flip_code": 0}}, None),
        ({"RandAugment": {"num_layers": 3, "magnitude": 7}}, {"randaugment": 3, "magnitude": 7.0}),
        ({"ColorJitter": {"brightness": 0.4, "hue": 0.1}}, {"brightness": 0.4, "hue": 0.1}),
        ({"RandomErasing": {"EPSILON": 0.25}}, {"erase": 0.25}),
        ({"RandomRotation": {"degrees": 15}}, {"rotate": 15}),
        ({"TimmAutoAugment": {"prob": 0.0, "config_str": "rand-m9"}}, None),
    ],
)
def test_augmentations(operation, augment):
    assert translate([operation])[0] == augment


def test_what_is_only_nearly_the_same_or_missing_is_named():
    train = [{"TimmAutoAugment": {"config_str": "rand-m7-mstd0.5"}}, "RandomRot90", "AutoAugment"]
    augment, _, left_out = translate(train)
    assert augment == {"randaugment": 2, "magnitude": 5.0}
    assert left_out == ["TimmAutoAugment", "RandomRot90", "AutoAugment"]


def test_mixtures_of_a_batch():
    both = {"OpSampler": {"MixupOperator": {"alpha": 0.8, "prob": 0.5}, "CutmixOperator": None, "Other": {}}}
    assert translate(batch=[both])[::2] == ({"mixup": 0.8, "cutmix": 0.2}, ["Other"])
    assert translate(batch=[{"MixupOperator": {"alpha": 0.3}}])[0] == {"mixup": 0.3}


@pytest.mark.parametrize(
    ("evaluation", "data", "left_out"),
    [
        ([{"ResizeImage": {"resize_short": 256}}, {"CropImage": {"size": 224}}], {}, []),
        (
            [{"ResizeImage": {"resize_short": 36}}, {"CropImage": {"size": 32}}],
            {"size": 32},
            ["ResizeImage.resize_short"],
        ),
        ([{"ResizeImage": {"size": [320, 320]}}], {"size": 320, "fit": "stretch"}, []),
        ([{"ResizeImage": {"size": [160, 80]}}], {"size": 160, "fit": "stretch"}, ["ResizeImage.size"]),
        ([{"NormalizeImage": {"mean": [0.5, 0.5, 0.5]}}], {}, ["NormalizeImage.mean"]),
    ],
)
def test_the_input_of_the_network(evaluation, data, left_out):
    assert translate(evaluation=evaluation)[1:] == (data, left_out)


def test_training_at_another_size_is_named():
    train = [{"RandCropImage": {"size": 176}}]
    assert translate(train, [{"CropImage": {"size": 224}}])[2] == ["RandCropImage.size"]
    assert translate(shape=[3, 64, 64])[1] == {"size": 64}
