"""Candidate pairs: windows, mirrorings, and the search through cells."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.copies import crop, draw_shapes

from hubtune.data.dedup import candidates
from hubtune.data.dedup.candidates import MAX_CANDIDATES, WINDOWS, Window, find_candidates
from hubtune.data.scan.fingerprint import compute_fingerprint


def pairs_of(images):
    found = find_candidates([compute_fingerprint(image) for image in images])
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_a_crop_is_found_in_its_window():
    window = Window(0.81, 0.09, -0.03)
    centre = 0.5 + window.right, 0.5 + window.down
    corner = [(middle - window.scale / 2) / (1 - window.scale) for middle in centre]
    pairs = pairs_of([draw_shapes(1), crop(draw_shapes(1), window.scale, *corner), draw_shapes(2)])
    assert (0, 1, WINDOWS.index(window), 0) in pairs
    assert not {(image, copy) for image, copy, *_ in pairs} & {(0, 2), (1, 2), (2, 0), (2, 1)}


@pytest.mark.parametrize(
    ("flip", "change"),
    [(1, ImageOps.mirror), (2, ImageOps.flip), (4, lambda image: image.transpose(Image.Transpose.TRANSPOSE))],
)
def test_flips_are_found_as_such(flip, change):
    assert {pair for pair in pairs_of([draw_shapes(1), change(draw_shapes(1))]) if pair[0] == 0} == {
        (0, 1, 0, flip)
    }


def test_an_image_has_a_limited_number_of_candidates():
    pairs = pairs_of([draw_shapes(1)] * (MAX_CANDIDATES + 3))
    assert np.bincount([image for image, *_ in pairs]).tolist() == [MAX_CANDIDATES] * (MAX_CANDIDATES + 3)


def test_uniform_images_have_no_candidates():
    assert pairs_of([Image.new("RGB", (64, 64), grey) for grey in ("white", "gray")]) == pairs_of([]) == []


def test_the_search_through_cells_finds_what_exhaustive_search_finds(monkeypatch):
    images = [draw_shapes(seed) for seed in range(12)]
    images += [crop(image, 0.85, 0.9, 0.1) for image in images[:8]]
    expected = {pair[:2] for pair in pairs_of(images)}
    monkeypatch.setattr(candidates, "_EXHAUSTIVE_LIMIT", 10)
    monkeypatch.setattr(candidates, "_IMAGES_PER_CELL", 3)
    copies = {(seed, 12 + seed) for seed in range(8)}
    assert copies <= {pair[:2] for pair in pairs_of(images)} <= expected
