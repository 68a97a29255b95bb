"""Registration: copies are aligned, and other pairs are dropped at any level."""

import numpy as np
import pytest
from PIL import Image
from support.copies import draw_shapes

from hubtune.data.dedup import registration
from hubtune.data.dedup.candidates import CandidatePairs
from hubtune.data.dedup.registration import register_pairs
from hubtune.data.scan.fingerprint import compute_fingerprint


def register(one, other):
    fingerprints = [compute_fingerprint(one), compute_fingerprint(other)]
    pair = CandidatePairs(*(np.array([value]) for value in (0, 1, 0, 0)))
    return {name: values[0] for name, values in register_pairs(fingerprints, pair)._asdict().items()}


def test_a_rotated_copy_agrees_without_distortion():
    image = draw_shapes(1)
    result = register(image, image.rotate(3, Image.Resampling.BILINEAR))
    assert result["structure"] > 0.97
    assert result["distortion"] < 0.01 and result["chroma_error"] < 4
    assert 0.8 < result["valid_share"] <= 1


def test_a_sheared_copy_is_distorted():
    image = draw_shapes(1)
    sheared = image.transform(image.size, Image.Transform.AFFINE, (1, 0.15, -22, 0, 1, 0), fillcolor="white")
    assert register(image, sheared)["distortion"] > 0.05


@pytest.mark.parametrize(("width", "smooth", "gradient"), [(1, True, False), (10, True, True)])
def test_smooth_images_and_gradients_are_recognised(width, smooth, gradient):
    luma = 255 / (1 + np.exp((64 - np.arange(128)) / width))
    edge = Image.fromarray(np.tile(luma.astype(np.uint8), (128, 1))).convert("RGB")
    result = register(edge, edge)
    assert (result["smooth"], result["gradient"]) == (smooth, gradient)
    result = register(draw_shapes(1), draw_shapes(1))
    assert not result["smooth"] and not result["gradient"]


@pytest.mark.parametrize("passed", range(3))
def test_pairs_are_dropped_at_any_level(passed, monkeypatch):
    levels = [
        (side, steps, -1.0 if level < passed else 2.0)
        for level, (side, steps, _) in enumerate(registration._LEVELS)
    ]
    monkeypatch.setattr(registration, "_LEVELS", levels)
    result = register(draw_shapes(0), draw_shapes(1))
    assert result["structure"] < 0.7 and np.isinf(result["chroma_error"])
