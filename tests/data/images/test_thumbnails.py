"""Thumbnails are small, upright and without metadata; nothing is fetched for one of a notebook."""

import io

import pytest
from PIL import Image
from support.images import draw_tree, noise_image
from support.packed import pack

from hubtune.data.images.thumbnails import SIDE, local_thumbnails, make_thumbnail
from hubtune.data.shards import members
from hubtune.data.shards.index import SHARD_INDEX
from hubtune.data.sources.open import open_source
from hubtune.errors import MachineError


def _size(content):
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.mode, len(image.getexif())) == ("WEBP", "RGB", 0)
        return image.size


def test_they_are_small_upright_and_without_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    noise_image(400, 200).save(tmp_path / "a.jpg", exif=exif)
    content = make_thumbnail(tmp_path / "a.jpg")
    assert _size(content) == (SIDE // 2, SIDE)
    assert b"secret" not in content
    assert make_thumbnail(tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes()) == content


def test_unreadable_images_have_none_and_the_others_stay_in_order(tmp_path):
    noise_image().save(tmp_path / "a.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    names = ("bad.jpg", "a.png", "gone.jpg", ".", "nul\0.png", "x" * 5000, "a.png")
    made = local_thumbnails([tmp_path / name for name in names])
    assert [content is not None for content in made] == [False, True, False, False, False, False, True]
    assert local_thumbnails([]) == []


@pytest.mark.parametrize("trouble", ["missing", "damaged", "damaged index"])
def test_an_image_whose_shard_is_not_here_is_not_fetched(tmp_path, monkeypatch, trouble):
    def fetch(address):
        raise AssertionError(f"{address} was asked")

    monkeypatch.setattr(members, "_store", fetch)
    shards = pack(draw_tree(tmp_path / "pics", {"a": 3, "b": 3}), tmp_path / "shards", 20_000)
    paths = [file.path for file in open_source(shards).files]
    assert None not in local_thumbnails(paths)
    (shards / "source.json").write_text('{"address": "s3://bucket/shards"}')
    members.forget_shards(shards)
    members._index_of.cache_clear()
    for tar in {path.parent for path in paths}:
        if trouble == "damaged":
            tar.write_bytes(bytes(tar.stat().st_size))
        else:
            tar.unlink()
    if trouble == "damaged index":
        (shards / SHARD_INDEX).write_text("nothing")
    assert local_thumbnails(paths) == [None] * 6


def test_memory_that_runs_out_costs_a_thumbnail_only(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MachineError("Memory has run out")

    monkeypatch.setattr("hubtune.data.images.thumbnails.check_pixels", fail)
    assert local_thumbnails([tmp_path / "a.png"]) == [None]
