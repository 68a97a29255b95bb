"""The settings of augmentation: presets, ranges, and words for what is wrong."""

import pytest
from pydantic import TypeAdapter, ValidationError

from hubtune.recipe.augment import PRESETS, Augment, AugmentSettings, long_augment

READ = TypeAdapter(Augment).validate_python


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_short_for_a_mapping(name):
    assert READ(name) == AugmentSettings(**PRESETS[name])
    assert READ(READ(name).model_dump()) == READ(name)


def test_the_old_names_mean_what_they_did():
    assert READ("none") == AugmentSettings()
    assert READ("flip") == AugmentSettings(flip=0.5)
    assert READ("crop") == AugmentSettings(crop=[0.08, 1.0], aspect=[3 / 4, 4 / 3], flip=0.5)


EXAMPLES = {
    "crop": [0.5, 1.0],
    "aspect": [1.0, 1.0],
    "flip": 0.5,
    "rotate": 10,
    "randaugment": 2,
    "magnitude": 9,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.1,
    "erase": 0.25,
    "mixup": 0.2,
    "cutmix": 1,
}


def test_only_mixup_and_cutmix_mix():
    mixing = {key for key in AugmentSettings.model_fields if AugmentSettings(**{key: EXAMPLES[key]}).mixes}
    assert mixing == {"mixup", "cutmix"}


def test_a_mapping_stays_as_it_is():
    assert long_augment(EXAMPLES) is EXAMPLES
    assert READ(EXAMPLES).model_dump() == EXAMPLES


def test_an_unknown_preset_is_told_with_the_nearest():
    with pytest.raises(ValueError) as told:
        long_augment("strnog")
    assert str(told.value) == (
        "must be none, flip, crop, standard, strong, or keys under it. Did you mean 'strong'?"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": [0.5]},
        {"crop": [0, 1]},
        {"crop": [0.5, 1.1]},
        {"crop": [1.0, 0.5]},
        {"crop": 0.5},
        {"aspect": [2.0, 1.0]},
        {"aspect": [0.01, 1.0]},
        {"flip": 1.1},
        {"flip": -0.1},
        {"flip": True},
        {"rotate": 181},
        {"randaugment": 1.5},
        {"randaugment": 11},
        {"magnitude": 11},
        {"brightness": 1.1},
        {"hue": 0.6},
        {"erase": 2},
        {"mixup": -1},
        {"mixup": 11},
        {"cutmix": float("nan")},
        {"blur": 1},
        3,
        None,
    ],
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ValidationError):
        READ(wrong)
