"""Fingerprints, in memory and in a file."""

import numpy as np
import pytest
from PIL import Image
from support.images import noise_image

from hubtune.data.scan.fingerprint import SIZE, FingerprintFile, compute_fingerprint, load_fingerprints


def test_a_fingerprint_holds_luma_colours_and_the_aspect_ratio():
    packed = compute_fingerprint(Image.new("RGB", (128, 64), (200, 60, 60)))
    assert len(packed) == SIZE
    luma, chroma, aspects = load_fingerprints([packed], np.array([0]))
    expected = Image.new("RGB", (1, 1), (200, 60, 60)).convert("YCbCr").getpixel((0, 0))
    assert luma.shape == (1, 64, 64) and set(luma.ravel()) == {expected[0]}
    assert chroma.shape == (1, 2, 8, 8)
    assert chroma[0, :, 0, 0].tolist() == list(expected[1:])
    assert aspects == pytest.approx([2.0])


def test_fingerprints_in_a_file_equal_those_in_memory():
    packed = [compute_fingerprint(noise_image(80, 70, seed=seed)) for seed in range(3)]
    file, other = FingerprintFile(), FingerprintFile()
    stored = [file.append(content) for content in packed]
    assert [bytes(each) for each in stored] == packed
    again = other.append(packed[1])
    assert again == stored[1] != stored[0] and hash(again) == hash(stored[1])
    rows = np.array([2, 0, 2])
    for one, two in zip(load_fingerprints(stored, rows), load_fingerprints(packed, rows), strict=True):
        assert (one == two).all()
