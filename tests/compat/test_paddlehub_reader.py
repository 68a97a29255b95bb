"""PaddleHub 1.x's module and reader give hubtune's preprocessing, and refuse what hubtune does not have."""

from dataclasses import replace

import numpy as np
import pytest

from hubtune.compat.paddlehub_reader import ImageClassificationReader, Module, with_preprocessing
from hubtune.errors import UsageError


@pytest.fixture
def module():
    return Module("smallnet", weights=None)


def _reader(width=32, height=32, **options):
    return ImageClassificationReader(image_width=width, image_height=height, dataset=None, **options)


def test_a_module_describes_its_input_and_its_variables(module):
    assert (module.get_expected_image_width(), module.get_expected_image_height()) == (32, 32)
    assert module.get_pretrained_images_mean() == module.get_pretrained_images_std() == [0.5] * 3
    inputs, outputs, program = module.context(trainable=False)
    assert ([*inputs], [*outputs], program) == (["image"], ["feature_map", "classification"], None)
    assert (outputs["feature_map"].module, outputs["feature_map"].trainable) == (module.module, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 64}, "image_width 32 and image_height 64 differ"),
        ({"width": 0, "height": 0}, "image_width must be a whole number of pixels from 1 to 4096"),
        ({"channel_order": "BGR"}, "channel_order is 'BGR'"),
        ({"images_mean": [0.5, 0.5]}, r"images_mean must be three numbers, of values 0–1, not \[0.5, 0.5\]"),
        ({"images_mean": 0.5}, "images_mean must be three numbers"),
        ({"images_std": [0.2, 0.2, 0]}, "images_std must be three numbers above 0"),
        ({"images_std": np.full(3, np.nan)}, "images_std must be three numbers above 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        _reader(**options)


@pytest.mark.parametrize(("multiple", "others"), [(None, "no other"), (16, "other multiples of 16")])
def test_a_size_that_the_module_does_not_take_is_refused(module, multiple, others):
    module.module.backbone = replace(module.module.backbone, size_multiple=multiple)
    with pytest.raises(UsageError, match=f"smallnet takes 32 and {others}: give image_width=module"):
        with_preprocessing(module.module, _reader(40, 40))
