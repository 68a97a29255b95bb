"""Thumbnails of pages are small, carry no metadata, and are made once."""

import io
import os

import pytest
from PIL import Image
from support.reports import draw_images

from hubtune.data.images.thumbnails import SIDE
from hubtune.report import thumbnails
from hubtune.report.thumbnails import make_thumbnails
from hubtune.storage.cache_folder import cache_root


@pytest.fixture
def images(tmp_path):
    paths = draw_images(tmp_path / "pics", 3, metadata=b"secret place")
    for path in paths:  # files that changed just now may change again
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return paths


@pytest.fixture
def count_made(monkeypatch):
    made, make = [], thumbnails.make_thumbnail
    monkeypatch.setattr(thumbnails, "make_thumbnail", lambda path: made.append(path) or make(path))
    # The time of the last change of state cannot be set, and is that of the test.
    monkeypatch.setattr("hubtune.data.scan.scan_cache._RACY_SECONDS", -10)
    return made


def test_they_are_small_webp_files_without_metadata(images):
    for content in make_thumbnails(images):
        assert b"secret" not in content
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (SIDE, SIDE * 3 // 4))
            assert len(image.getexif()) == 0


def test_one_that_cannot_be_read_has_none_and_the_others_stay_in_order(images, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    alone = [make_thumbnails([path])[0] for path in images]
    mixed = make_thumbnails([images[0], tmp_path / "bad.jpg", images[1], tmp_path / "gone.jpg", images[2]])
    assert mixed == [alone[0], None, alone[1], None, alone[2]]
    assert make_thumbnails([]) == []


def test_they_are_made_once_for_each_state_of_a_file(images, count_made):
    first = make_thumbnails(images)
    assert make_thumbnails(images) == first
    assert count_made == images
    Image.new("RGB", (200, 50), "red").save(images[1])
    assert make_thumbnails(images)[1] not in (first[1], None)
    assert count_made[3:] == [images[1]]


@pytest.mark.parametrize("trouble", ["off", "nonsense", "damaged", "locked"])
def test_a_cache_that_cannot_be_used_only_costs_time(trouble, images, count_made, monkeypatch):
    first = make_thumbnails(images)
    folder = cache_root() / "features"
    if trouble == "damaged":
        (folder / "features.sqlite").write_bytes(b"nothing" * 1000)
    elif trouble == "locked":
        monkeypatch.setenv("HUBTUNE_HOME", os.devnull)
    else:
        monkeypatch.setenv("HUBTUNE_CACHE_SIZE", {"off": "0", "nonsense": "many"}[trouble])
    assert make_thumbnails(images) == first
    assert len(count_made) == 6
