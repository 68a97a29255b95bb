"""Candidate pairs: windows, and the search through cells; see also ``test_duplicates.py``."""

from PIL import Image
from support.copies import crop, draw_shapes

from hubtune.data.dedup import candidates
from hubtune.data.dedup.candidates import WINDOWS, Window, find_candidates
from hubtune.data.scan.fingerprint import compute_fingerprint


def pairs_of(images):
    found = find_candidates([compute_fingerprint(image) for image in images])
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_a_crop_is_found_in_its_window_and_other_or_uniform_images_are_no_candidates():
    window = Window(0.81, 0.09, -0.03)
    centre = 0.5 + window.right, 0.5 + window.down
    corner = [(middle - window.scale / 2) / (1 - window.scale) for middle in centre]
    uniform = [Image.new("RGB", (64, 64), grey) for grey in ("white", "gray")]
    pairs = pairs_of([draw_shapes(1), crop(draw_shapes(1), window.scale, *corner), draw_shapes(2), *uniform])
    assert (0, 1, WINDOWS.index(window), 0) in pairs
    assert {frozenset(pair[:2]) for pair in pairs} == {frozenset({0, 1})}
    assert pairs_of([]) == []


def test_the_search_through_cells_finds_what_exhaustive_search_finds(monkeypatch):
    images = [draw_shapes(seed) for seed in range(12)]
    images += [crop(image, 0.85, 0.9, 0.1) for image in images[:8]]
    expected = {pair[:2] for pair in pairs_of(images)}
    monkeypatch.setattr(candidates, "_EXHAUSTIVE_LIMIT", 10)
    monkeypatch.setattr(candidates, "_IMAGES_PER_CELL", 3)
    copies = {(seed, 12 + seed) for seed in range(8)}
    assert copies <= {pair[:2] for pair in pairs_of(images)} <= expected
