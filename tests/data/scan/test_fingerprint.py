"""Fingerprints, in memory and in a file."""

import numpy as np
import pytest
from PIL import Image
from support.images import noise_image

from hubtune.data.scan.fingerprint import FingerprintFile, compute_fingerprint, load_fingerprints


def test_a_fingerprint_holds_luma_colours_and_aspect_ratio_and_a_file_gives_the_same():
    image = Image.new("RGB", (128, 64), (200, 60, 60))
    packed = [compute_fingerprint(image), *(compute_fingerprint(noise_image(80, 70, seed=n)) for n in (0, 1))]
    luma, chroma, aspects = load_fingerprints(packed, np.array([0]))
    expected = image.convert("YCbCr").getpixel((0, 0))
    assert luma.shape == (1, 64, 64) and set(luma.ravel()) == {expected[0]}
    assert chroma.shape == (1, 2, 8, 8) and chroma[0, :, 0, 0].tolist() == list(expected[1:])
    assert aspects == pytest.approx([2.0])
    file = FingerprintFile()
    stored = [file.append(content) for content in packed]
    assert [bytes(each) for each in stored] == packed
    rows = np.array([2, 0, 2])
    for one, two in zip(load_fingerprints(stored, rows), load_fingerprints(packed, rows), strict=True):
        assert (one == two).all()
