"""Similarity under a map: structure and colours."""

import numpy as np

from hubtune.data.dedup.similarity import compare_chroma, compare_structure

IDENTITY = np.eye(2, dtype=np.float32)[None], np.full((1, 2), 0.5, np.float32)


def test_brightness_and_contrast_do_not_matter_and_colours_may_be_paler_or_missing_but_not_others():
    noise = np.random.default_rng(0).uniform(20, 230, (1, 32, 32)).astype(np.float32)
    [same], [brighter], [inverse] = (
        compare_structure(noise, image, *IDENTITY) for image in (noise, 0.5 * noise + 60, 250 - noise)
    )
    assert same > 0.99 and brighter > 0.99 and inverse < -0.99
    colours = np.random.default_rng(0).integers(60, 196, (1, 2, 8, 8)).astype(np.uint8)
    paler = (128 + (colours.astype(int) - 128) // 2).astype(np.uint8)
    [pale], [grey], [other] = (
        compare_chroma(colours, image, *IDENTITY)
        for image in (paler, np.full_like(colours, 128), np.roll(colours, 1, axis=1))
    )
    assert pale < 1 and grey == 0 and other > 20
