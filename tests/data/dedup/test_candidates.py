"""Candidate pairs: the search through cells; ``test_duplicates.py`` has windows and flips."""

from support.copies import crop, draw_shapes

from hubtune.data.dedup import candidates
from hubtune.data.dedup.candidates import find_candidates
from hubtune.data.scan.fingerprint import compute_fingerprint


def pairs_of(images):
    found = find_candidates([compute_fingerprint(image) for image in images])
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_the_search_through_cells_finds_what_exhaustive_search_finds(monkeypatch):
    images = [draw_shapes(seed) for seed in range(12)]
    images += [crop(image, 0.85, 0.9, 0.1) for image in images[:8]]
    expected = {pair[:2] for pair in pairs_of(images)}
    monkeypatch.setattr(candidates, "_EXHAUSTIVE_LIMIT", 10)
    monkeypatch.setattr(candidates, "_IMAGES_PER_CELL", 3)
    copies = {(seed, 12 + seed) for seed in range(8)}
    assert copies <= {pair[:2] for pair in pairs_of(images)} <= expected
