"""The preview shows exactly what a run trains on."""

import re

import numpy as np
import pytest

from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.report import augmentation_preview
from hubtune.report.augmentation_preview import PreviewSource, draw_preview, make_rows
from hubtune.rng import rng_for

CLASSES = ["cat", "dog", "fox"]


@pytest.fixture
def source(tmp_path, draw_photos):
    """Returns a source of drawn images."""
    pics = draw_photos(tmp_path / "pics", dict.fromkeys(CLASSES, 5), size=24)
    entries = [ImageEntry(path, CLASSES.index(path.parent.name)) for path in sorted(pics.rglob("*.png"))]

    def make(preset="standard", *, seed=0, **view):
        view = Preprocessing(**{"size": 32, "resize": 32, **view})
        return PreviewSource(entries, CLASSES, view, AugmentSettings(**AUGMENT_PRESETS[preset]), preset, seed)

    return make


@pytest.fixture
def cells(monkeypatch):
    """Returns the cells that are drawn, row by row."""

    def rows_of(source, **counts):
        drawn = {}
        monkeypatch.setattr(
            augmentation_preview,
            "draw_contact_sheet",
            lambda cells, **more: drawn.update(cells=cells, **more),
        )
        draw_preview(source, make_rows(source, **counts)[0])
        rows = iter(drawn["cells"])
        return drawn["title"], [*zip(*[rows] * drawn["columns"], strict=True)]

    return rows_of


def test_a_row_shows_evaluation_and_then_each_epoch_of_training(source, cells):
    source = source("crop", seed=7)
    entries = [row.entry for row in make_rows(source, count=6, epochs=3)[0]]
    title, drawn = cells(source, count=6, epochs=3)
    assert title == "crop: crop 32, seed 7"
    for entry, row in zip(entries, drawn, strict=True):
        index = source.entries.index(entry)
        captions = [CLASSES[entry.label], "epoch 1", "epoch 2", "epoch 3"]
        assert [cell.caption for cell in row] == captions
        plain, *epochs = (np.asarray(cell.image) for cell in row)
        assert (plain == np.asarray(source.view.read(entry.path))).all()
        image = read_image(entry.path, source.view, source.settings)
        for epoch, pixels in enumerate(epochs):
            expected = augment_image(image, source.view, source.settings, rng_for(7, "augment", epoch, index))
            assert (pixels == expected).all()


def test_every_class_is_shown_before_one_is_shown_twice_and_the_seed_decides_which(source):
    for count, most in ((2, 1), (3, 1), (5, 2)):
        labels = [row.entry.label for row in make_rows(source(), count=count, epochs=1)[0]]
        assert labels == sorted(labels)
        assert max(map(labels.count, labels)) == most
        assert len(set(labels)) == min(count, 3)
    one, same, other = (make_rows(source(seed=seed), count=3, epochs=1)[0] for seed in (1, 1, 2))
    assert [row.entry for row in one] == [row.entry for row in same] != [row.entry for row in other]


def test_mixed_images_are_in_the_last_rows_with_their_shares(source, cells):
    [last] = cells(source("strong"), count=3, epochs=4)[1][3:]
    assert len(last) == 5
    for cell in last:
        assert re.fullmatch(r"\d+ % (cat|dog|fox)( \+ \d+ % (cat|dog|fox))?", cell.caption)
        shares = [*map(int, re.findall(r"\d+", cell.caption))]
        assert sum(shares) == 100 and shares == sorted(shares, reverse=True)
    assert any("+" in cell.caption for cell in last)
    for channels in (1, 4):
        rows = cells(source("strong", channels=channels), count=2, epochs=2)[1]
        images = [cell.image for row in rows for cell in row]
        assert {(image.size, image.mode) for image in images} == {((32, 32), "RGB")}
        if channels == 1:
            assert all((np.ptp(np.asarray(image), axis=2) == 0).all() for image in images)


def test_unreadable_images_are_replaced_by_others(source):
    source = source()
    for entry in source.entries[:4]:
        entry.path.write_bytes(b"")
    rows, errors = make_rows(source, count=12, epochs=1)
    assert {row.entry.path for row in rows} == {entry.path for entry in source.entries[4:]}
    assert sorted(error.path for error in errors) == [str(entry.path) for entry in source.entries[:4]]
