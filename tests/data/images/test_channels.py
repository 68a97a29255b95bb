"""Pictures of one and four channels: what they are made of, and what stays apart until they are seen."""

import numpy as np
import pytest
from PIL import Image

from hubtune.data.images.augment import OPERATIONS, augment_image, read_image
from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing, image_to_array, preprocess_views
from hubtune.errors import UsageError
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.rng import rng_for

VIEWS = [
    {"fit": "crop"},
    {"fit": "whole"},
    {"fit": "pad"},
    {"fit": "stretch"},
    {"fit": "stretch_crop", "antialias": False},
    {"fit": "crop", "interpolation": "lanczos", "mirror": True},
]


def view(channels, **given):
    return Preprocessing.model_validate({"size": 32, "resize": 36, "channels": channels, **given})


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)


def saved(path, pixels, mode=None):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def test_grey_is_the_brightness_of_the_colours_on_white(tmp_path, noise):
    colours = Image.fromarray(noise[..., :3])
    colours.save(tmp_path / "colours.png")
    assert decode(tmp_path / "colours.png", channels=1).tobytes() == colours.convert("L").tobytes()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert set(decode(tmp_path / "clear.png", channels=1).tobytes()) == {255}


def test_deep_grey_is_scaled_and_not_clipped(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    expected = (ramp // 257).astype(np.uint8)
    assert (np.asarray(decode(tmp_path / "deep.png", channels=1)) == expected).all()
    four = np.asarray(decode(tmp_path / "deep.png", channels=4))
    assert (four[..., :3] == expected[..., None]).all()
    assert (four[..., 3] == 255).all()


def test_a_transparent_deep_value_keeps_its_grey_beside_its_opacity(tmp_path):
    Image.fromarray(np.full((2, 2), 257 * 80, np.uint16)).save(tmp_path / "deep.png", transparency=257 * 80)
    assert set(decode(tmp_path / "deep.png").tobytes()) == {255}
    assert decode(tmp_path / "deep.png", channels=4).tobytes() == bytes((80, 80, 80, 0)) * 4


def test_four_channels_are_those_in_the_file(tmp_path, noise):
    for name in ("four.png", "four.tif", "four.webp"):
        Image.fromarray(noise).save(
            tmp_path / name, **({"lossless": True, "exact": True} if "webp" in name else {})
        )
        assert (np.asarray(decode(tmp_path / name, channels=4)) == noise).all(), name
    unexplained = Image.merge("RGBX", Image.fromarray(noise).split())
    unexplained.save(tmp_path / "unexplained.tif")
    assert (np.asarray(decode(tmp_path / "unexplained.tif", channels=4)) == noise).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "1"])
def test_a_picture_without_transparency_is_opaque(tmp_path, noise, mode):
    file = saved(tmp_path / "plain.tif", noise[..., :3], mode)
    four = np.asarray(decode(file, channels=4))
    assert (four[..., 3] == 255).all()
    assert (four[..., :3] == np.asarray(decode(file))).all()


@pytest.mark.parametrize("given", VIEWS)
def test_channels_do_not_see_one_another_on_the_way(tmp_path, noise, given):
    saved(tmp_path / "four.png", noise)
    saved(tmp_path / "colours.png", noise[..., :3])
    saved(tmp_path / "fourth.png", noise[..., 3])
    [four] = preprocess_views(tmp_path / "four.png", [view(4, **given)])
    [colours] = preprocess_views(tmp_path / "colours.png", [view(3, **given)])
    # What `pad` fills up with is opaque, and white of this mean.
    [fourth] = preprocess_views(tmp_path / "fourth.png", [view(1, **given, mean=(1, 1, 1))])
    assert (four[..., :3] == colours).all()
    assert (four[..., 3:] == fourth).all()


@pytest.mark.parametrize("given", VIEWS)
def test_grey_equals_each_of_three_equal_channels(tmp_path, noise, given):
    file = saved(tmp_path / "grey.png", noise[..., 0])
    alike = {**given, "mean": (0.4, 0.4, 0.4)}  # for the border of `pad`
    [grey], [colours] = preprocess_views(file, [view(1, **alike)]), preprocess_views(file, [view(3, **alike)])
    assert grey.shape == (*colours.shape[:2], 1)
    assert (grey == colours).all()


def test_normalised_grey_becomes_that_of_each_colour(noise):
    grey, colours = view(1), view(3)
    image = Image.fromarray(noise[..., 0])
    factors, terms = grey.grey_in_colours
    there = factors[:, None, None] * grey(image) + terms[:, None, None]
    np.testing.assert_allclose(there, colours(image.convert("RGB")), atol=1e-5)


def test_what_is_filled_up_becomes_zero_in_every_channel():
    wide = Image.new("RGBA", (90, 30), (250, 250, 250, 250))
    for channels in (1, 3, 4):
        [pixels] = preprocess_views(wide, [view(channels, fit="pad")])
        border = view(channels).normalise(pixels)[:, 0]
        assert border.shape == (channels, 32)
        assert np.abs(border).max() < 0.5 / 255 / 0.2


def test_what_is_opaque_is_zero_in_the_fourth_channel_and_the_rest_far_from_it():
    normalised = view(4).normalise(np.array([[[0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8))
    assert abs(normalised[3, 0, 0]) < 1e-5
    assert normalised[3, 0, 1] < 10 * normalised[:3].min() < 0


def test_a_picture_in_any_mode_is_taken(noise):
    grey = Image.fromarray(noise[..., 0])
    for channels in (1, 3, 4):
        [pixels] = preprocess_views(grey, [view(channels)])
        assert pixels.shape == (32, 32, channels)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("preset", AUGMENT_PRESETS)
def test_augmentation_keeps_the_channels(tmp_path, noise, channels, preset):
    file, settings = saved(tmp_path / "four.png", noise), AugmentSettings(**AUGMENT_PRESETS[preset])
    image = read_image(file, view(channels), settings)
    for epoch in range(8):
        pixels = augment_image(image, view(channels), settings, rng_for(0, epoch))
        assert (pixels.shape, pixels.dtype) == ((32, 32, channels), np.uint8)


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_operations_move_opacity_with_the_colours_or_leave_it(noise, number):
    noise = np.repeat(noise[..., 3:], 4, axis=2)
    before = Image.fromarray(noise)
    after = image_to_array(OPERATIONS[number](before, 0.7, (9, 9, 9, 9)))
    moved = (after[..., 0] == after[..., 3]).all()
    assert moved or (after[..., 3] == noise[..., 3]).all()
    grey = image_to_array(OPERATIONS[number](Image.fromarray(noise[..., 0]), 0.7, (9,)))
    assert np.abs(grey[..., 0].astype(int) - after[..., 0]).max() <= 1  # rounded otherwise


def test_colour_jitter_changes_grey_as_it_changes_equal_colours(noise):
    settings = AugmentSettings(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    grey = Image.fromarray(noise[:32, :32, 0])
    one = augment_image(grey, view(1), settings, rng_for(0))
    three = augment_image(grey.convert("RGB"), view(3), settings, rng_for(0))
    assert np.abs(one.astype(int) - three).max() <= 1
    assert (one[..., 0] != noise[:32, :32, 0]).any()


def test_another_size_keeps_the_share_that_the_crop_cuts_off():
    own = Preprocessing(size=224, resize=256)
    assert [
        (own.override("m", size=size).size, own.override("m", size=size).resize) for size in (112, 160, 448)
    ] == [
        (112, 128),
        (160, 183),
        (448, 512),
    ]
    with pytest.raises(
        UsageError, match=r"^size: 4096 does not go with m: Input should be less than or equal"
    ):
        Preprocessing(size=32, resize=256).override("m", size=4096)
