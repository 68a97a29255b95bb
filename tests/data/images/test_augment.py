"""Augmentation: what each operation does, how often, and that it depends on the random draws alone."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.images import noise_image
from support.orientation import save_oriented

from hubtune.data.images.augment import OPERATIONS, augment_image, read_image
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.rng import rng_for

GREY = (128, 128, 128)
VIEW = Preprocessing(size=48, resize=48, fit="stretch", mean=(0.5, 0.5, 0.5))
NOISE = noise_image(48, 48)
# Red is the column, green the row.
ROWS, COLUMNS = np.indices((100, 200), np.uint8)
PLACES = Image.fromarray(np.stack([COLUMNS, ROWS, np.zeros_like(ROWS)], 2))
STRONGEST = {"crop": [0.1, 1.0], "flip": 0.5, "rotate": 180.0, "randaugment": 3, "magnitude": 10.0}
STRONGEST |= {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "erase": 0.5}


def change(image, *seed, view=VIEW, **settings):
    return augment_image(image, view, AugmentSettings(**settings), rng_for(*seed))


def changed_colours(colour, count, **settings):
    """One pixel of an even image after each of some draws."""
    image = Image.new("RGB", (48, 48), colour)
    return np.array([change(image, seed, **settings)[0, 0] for seed in range(count)], float)


def extent(values):
    """Length of a side of evenly spaced values, from 48 samples of it."""
    return (float(values.max()) - float(values.min())) * 48 / 47


def test_flip_mirrors_as_often_as_asked():
    plain = np.asarray(NOISE)
    for probability in (0.0, 0.25, 1.0):
        mirrored = 0
        for seed in range(200):
            got = change(NOISE, seed, flip=probability)
            assert (got == plain).all() or (got == plain[:, ::-1]).all()
            mirrored += not (got == plain).all()
        assert abs(mirrored - 200 * probability) < 30


def test_crops_have_the_area_and_aspect_asked_for_and_reach_every_part_or_all_where_none_fits():
    crops = [change(PLACES, seed, crop=[0.2, 0.5], aspect=[0.5, 2.0]) for seed in range(200)]
    sides = [(extent(got[..., 0]), extent(got[..., 1])) for got in crops]
    areas, aspects = zip(*((wide * high / 20_000, wide / high) for wide, high in sides), strict=True)
    assert 0.17 < min(areas) < 0.25 and 0.45 < max(areas) < 0.54
    assert 0.45 < min(aspects) < 0.65 and 1.6 < max(aspects) < 2.2
    places = np.array(crops)[..., :2]
    assert (places.min(axis=(0, 1, 2)) <= 3).all() and (places.max(axis=(0, 1, 2)) >= (196, 96)).all()
    line = Image.fromarray(np.asarray(PLACES)[:2])
    assert extent(change(line, 0, crop=[0.9, 1.0])[..., 0]) > 195


def test_rotation_stays_within_its_limit_and_fills_with_the_mean_colour():
    view = VIEW.model_copy(update={"mean": (1.0, 0.0, 0.0)})
    bar = Image.new("RGB", (48, 48), "black")
    bar.paste("white", (0, 23, 48, 25))
    angles = []
    for seed in range(60):
        got = change(bar, seed, view=view, rotate=20.0)
        rows = [np.average(np.arange(48), weights=got[:, column, 2] + 1e-9) for column in (10, 37)]
        angles.append(np.degrees(np.arctan((rows[0] - rows[1]) / 27)))
        assert (got[0, 0] == (255, 0, 0)).all() or abs(angles[-1]) < 5
    assert -20.5 < min(angles) < -14 and 14 < max(angles) < 20.5


def test_brightness_multiplies_and_contrast_spreads_around_the_mean():
    factors = changed_colours((100, 50, 20), 100, brightness=0.4) / (100, 50, 20)
    assert np.ptp(factors, axis=1).max() < 0.06  # of the rounding
    assert 0.57 < np.min(factors) < 0.7 and 1.3 < np.max(factors) < 1.43
    half = np.full((48, 48, 3), 100, np.uint8)
    half[:24] = 140
    seen = np.array([change(Image.fromarray(half), seed, contrast=0.5) for seed in range(60)], int)
    assert (abs(seen.mean(axis=(1, 2, 3)) - 120) <= 1).all()
    spreads = np.ptp(seen, axis=(1, 2, 3))
    assert 18 < spreads.min() < 26 and 54 < spreads.max() < 62


def test_saturation_and_hue_change_colours_alone_as_far_as_asked():
    for settings in ({"saturation": 0.5}, {"hue": 0.5}):
        seen = changed_colours((120, 100, 140), 60, **settings)
        assert np.ptp(seen @ (0.299, 0.587, 0.114)) < 2
        assert np.ptp(seen, axis=0).max() > 10
        assert abs(changed_colours((90, 90, 90), 10, **settings) - 90).max() <= 1
    seen = changed_colours((120, 100, 110), 80, saturation=1.0)
    assert np.ptp(seen, axis=1).min() < 4 and np.ptp(seen, axis=1).max() > 36
    assert {*changed_colours((160, 100, 100), 40, hue=0.5).argmax(axis=1)} == {0, 1, 2}


def test_erasing_fills_one_rectangle_with_noise_as_often_as_asked():
    flat = Image.new("RGB", (48, 48), (7, 7, 7))
    assert 25 < sum((change(flat, seed, erase=0.25) != 7).any() for seed in range(200)) < 75
    shares = []
    for seed in range(150):
        rows, columns = np.nonzero((change(flat, seed, erase=1.0) != 7).any(axis=2))
        if len(rows):  # otherwise none of ten rectangles fits
            area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert 0.97 * area < len(rows) <= area  # noise may be 7, 7, 7, too
            shares.append(area / 48**2)
    assert len(shares) > 140
    assert 0.015 < min(shares) < 0.08 and 0.33 < max(shares) < 0.42


def test_randaugment_draws_operations_and_signs_that_grow_with_their_strength_from_nothing():
    photo = ImageOps.autocontrast(NOISE.resize((8, 8)).resize((48, 48), Image.Resampling.BICUBIC))
    plain = np.asarray(photo).astype(int)

    def difference(operation, strength):
        return abs(np.asarray(operation(photo, strength, GREY)).astype(int) - plain).mean()

    # Of the others, autocontrast and equalize have no strength, and identity none at all.
    scaled = [one for one in OPERATIONS if difference(one, 1.0) != difference(one, 0.0)]
    assert len(scaled) == len(OPERATIONS) - 3
    for operation in scaled:
        assert difference(operation, 1.0) > difference(operation, 0.25) > difference(operation, 0.0) == 0
    one, two = (
        {change(NOISE, seed, randaugment=count, magnitude=7.0).tobytes() for seed in range(300)}
        for count in (1, 2)
    )
    signed = [(operation, sign) for operation in OPERATIONS for sign in (-1, 1)]
    assert one == {np.asarray(operation(NOISE, sign * 0.7, GREY)).tobytes() for operation, sign in signed}
    assert len(two) > 3 * len(one)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("preset", [*AUGMENT_PRESETS, "strongest"])
def test_the_random_draws_alone_decide_and_channels_and_the_original_stay(tmp_path, channels, preset):
    noise_image(90, 60, mode="RGBA").save(tmp_path / "a.png")
    view, settings = VIEW.model_copy(update={"channels": channels}), AUGMENT_PRESETS.get(preset, STRONGEST)
    image = read_image(tmp_path / "a.png", view, AugmentSettings(**settings))
    before = image.tobytes()
    again, *others = (change(image, 1, "augment", 2, k, view=view, **settings) for k in (0, *range(20)))
    assert {(pixels.shape, pixels.dtype.name) for pixels in others} == {((48, 48, channels), "uint8")}
    assert (again == others[0]).all()
    assert (len({pixels.tobytes() for pixels in others}) > 1) == (preset != "none")
    assert image.tobytes() == before


@pytest.mark.parametrize("fit", ["crop", "whole", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_images_of_one_line_can_be_augmented(fit, size):
    view = Preprocessing(size=32, resize=32, fit=fit)
    shapes = {change(Image.new("RGB", size), seed, view=view, **STRONGEST).shape for seed in range(20)}
    assert all(len(shape) == 3 and shape[2] == 3 for shape in shapes)


def test_a_jpeg_is_reduced_as_far_as_its_crops_allow_with_the_same_result(tmp_path):
    """Stored on its side, of sides that no reduction divides."""
    columns, rows = np.meshgrid(np.linspace(0, 255, 1203), np.linspace(0, 255, 1501))
    upright = np.stack([columns, rows, (columns + rows) / 2], 2).astype(np.uint8)
    photo, exact = tmp_path / "a.jpg", VIEW.model_copy(update={"antialias": False})
    save_oriented(photo, upright, 6, quality=95)
    image = read_image(photo, VIEW, AugmentSettings(flip=0.5, rotate=10.0))
    assert (np.asarray(image) == np.asarray(VIEW.read(photo))).all()  # resized, without a crop
    for least, size in ((1.0, (150, 187)), (0.35, (300, 375)), (0.02, (1203, 1501))):
        assert read_image(photo, VIEW, AugmentSettings(crop=[least, 1.0])).size == size  # upright
    assert read_image(photo, exact, AugmentSettings(crop=[1.0, 1.0])).size == (1203, 1501)
    settings = {"crop": [0.35, 1.0], "flip": 0.5}
    full, reduced = (read_image(photo, VIEW, AugmentSettings(crop=[least, 1.0])) for least in (0.02, 0.35))
    for seed in range(10):
        one, other = (change(image, seed, **settings).astype(int) for image in (full, reduced))
        assert abs(one - other).max() <= 3
