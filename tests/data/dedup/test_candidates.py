"""Candidate pairs: the search through cells; ``test_duplicates.py`` has windows and flips."""

from PIL import Image
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


def test_a_cell_of_too_many_lookalikes_is_divided(monkeypatch):
    """Each image is compared with as many as before if there are more; copies are found all the same."""
    monkeypatch.setattr(candidates, "_EXHAUSTIVE_LIMIT", 30)
    monkeypatch.setattr(candidates, "_MAX_CELL", 30)
    monkeypatch.setattr(candidates, "_IMAGES_PER_CELL", 10)
    compared = []
    search_cell = candidates._Index._search_cell

    def count(index, cell, query, *arguments):
        found = search_cell(index, cell, query, *arguments)
        compared[-1] += len(query) * len(index._members[cell])
        assert len(found[0]) <= candidates.MAX_CANDIDATES * len(arguments[-1])  # of each image, the best only
        return found

    monkeypatch.setattr(candidates._Index, "_search_cell", count)
    for times in (50, 200):
        compared.append(0)
        pairs = pairs_of([draw_shapes(0)] * times + [Image.new("RGB", (50, 50))] * times)
        assert {pair[0] for pair in pairs} == {*range(times)}
    assert compared[1] < 6 * compared[0]
