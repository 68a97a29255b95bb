"""Augmentation: seeded, of the right shape, and nothing but mirroring and cropping."""

import numpy as np
import pytest
from PIL import Image

from hubtune.data.augment import augment
from hubtune.randomness import generator

PICTURE = Image.fromarray(np.arange(30 * 40 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8))


def pixels(kind, *seed, picture=PICTURE):
    return np.asarray(augment(picture, kind, generator(*seed)))


def test_none_changes_nothing():
    assert augment(PICTURE, "none", generator(0)) is PICTURE


def test_flip_mirrors_about_half_of_the_pictures():
    plain = np.asarray(PICTURE)
    mirrored = 0
    for seed in range(400):
        got = pixels("flip", seed)
        assert (got == plain).all() or (got == plain[:, ::-1]).all()
        mirrored += not (got == plain).all()
    assert 160 < mirrored < 240


def test_crop_takes_a_part_of_fair_size_and_shape():
    areas = []
    for seed in range(300):
        height, width, _ = pixels("crop", seed).shape
        assert 1 <= width <= 40 and 1 <= height <= 30
        areas.append(width * height / 1200)
        assert areas[-1] > 0.06
        assert 0.65 < width / height < 1.5
    assert min(areas) < 0.2 and max(areas) > 0.8


@pytest.mark.parametrize("kind", ["flip", "crop"])
def test_the_draw_decides_alone(kind):
    assert (pixels(kind, 1, "augment", 2, 3) == pixels(kind, 1, "augment", 2, 3)).all()
    assert len({pixels(kind, 1, "augment", 2, index).tobytes() for index in range(20)}) > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_pictures_of_one_line_do_no_harm(size):
    for seed in range(20):
        height, width, _ = pixels("crop", seed, picture=Image.new("RGB", size)).shape
        assert 1 <= width <= size[0] and 1 <= height <= size[1]
