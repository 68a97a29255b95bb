"""Registration: a copy is aligned, and a distorted or another image is not."""

import numpy as np
from PIL import Image
from support.copies import draw_shapes

from hubtune.data.dedup.candidates import CandidatePairs
from hubtune.data.dedup.registration import register_pairs
from hubtune.data.scan.fingerprint import compute_fingerprint


def register(one, other):
    fingerprints = [compute_fingerprint(one), compute_fingerprint(other)]
    pair = CandidatePairs(*(np.array([value]) for value in (0, 1, 0, 0)))
    return {name: values[0] for name, values in register_pairs(fingerprints, pair)._asdict().items()}


def test_a_rotated_copy_is_aligned_and_a_sheared_or_another_image_is_not():
    image = draw_shapes(1)
    copy = register(image, image.rotate(3, Image.Resampling.BILINEAR))
    assert copy["structure"] > 0.97 and copy["distortion"] < 0.01 and copy["chroma_error"] < 4
    assert 0.8 < copy["valid_share"] <= 1 and not copy["smooth"] and not copy["gradient"]
    shear = (1, 0.15, -22, 0, 1, 0)
    sheared = image.transform(image.size, Image.Transform.AFFINE, shear, fillcolor="white")
    assert register(image, sheared)["distortion"] > 0.05
    other = register(draw_shapes(0), image)
    assert other["structure"] < 0.7 and np.isinf(other["chroma_error"])
