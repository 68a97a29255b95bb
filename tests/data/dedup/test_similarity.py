"""Similarity under a map: structure, colours, and the pixels that count."""

import numpy as np

from hubtune.data.dedup.similarity import compare_chroma, compare_structure, sample_bilinear, valid_pixels

IDENTITY = np.eye(2, dtype=np.float32)[None], np.full((1, 2), 0.5, np.float32)
NOISE = np.random.default_rng(0).uniform(20, 230, (1, 32, 32)).astype(np.float32)


def test_structure_does_not_depend_on_brightness_and_contrast():
    [same], [brighter], [inverse] = (
        compare_structure(NOISE, image, *IDENTITY) for image in (NOISE, 0.5 * NOISE + 60, 250 - NOISE)
    )
    assert same > 0.99 and brighter > 0.99 and inverse < -0.99


def test_colours_may_be_paler_or_missing_but_not_others():
    colours = np.random.default_rng(0).integers(60, 196, (1, 2, 8, 8)).astype(np.uint8)
    paler = (128 + (colours.astype(int) - 128) // 2).astype(np.uint8)
    [pale], [grey], [other] = (
        compare_chroma(colours, image, *IDENTITY)
        for image in (paler, np.full_like(colours, 128), np.roll(colours, 1, axis=1))
    )
    assert pale < 1 and grey == 0 and other > 20


def test_sampling_interpolates_between_pixels():
    places = np.array([[[0.5 / 32, 1 / 32], [0.5 / 32, 0.5 / 32]]])
    [[first, between]] = sample_bilinear(NOISE, places)
    assert np.isclose(first, NOISE[0, 0, 0])
    assert np.isclose(between, NOISE[0, 0, :2].mean(), rtol=1e-4)


def test_blown_out_pixels_and_their_neighbours_do_not_count_unless_few_are_left():
    image = NOISE.copy()
    image[0, 16, 16] = 255
    inside = np.ones((1, 32 * 32), bool)

    def valid(values):
        return valid_pixels(values.reshape(1, -1), NOISE.reshape(1, -1), inside, 32).reshape(32, 32)

    assert not valid(image)[15:18, 15:18].any() and valid(image)[20, 20]
    assert valid(np.full_like(image, 255)).all()
