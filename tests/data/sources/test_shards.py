"""Shards are a source; read in order, they are checked, and never trusted."""

import io
import shutil
import tarfile

import pytest
from support.images import draw_tree
from support.packed import pack, shard_bytes_on_disk, upload

from hubtune.data.images.decode import read_content
from hubtune.data.shards.index import read_index
from hubtune.data.sources.open import open_source
from hubtune.data.sources.shards import check_shard, open_shards, read_samples
from hubtune.errors import DataError


@pytest.fixture
def packed(tmp_path):
    """Twelve images in shards; returns the folder of images and that of shards."""
    pics = draw_tree(tmp_path / "pics", {"a": 6, "b": 6})
    return pics, pack(pics, tmp_path / "shards", 20_000)


def test_shards_are_a_source_with_the_images_classes_and_names_of_their_source(packed, bucket):
    pics, folder = packed
    for place in (folder, upload(folder, bucket, "s")):
        listing, own = open_source(place), open_source(pics)
        files = sorted(listing.files, key=lambda file: file.name)
        assert [(f.name, f.label) for f in files] == [(f.name, f.label) for f in own.files]
        assert [read_content(f.path) for f in files] == [f.path.read_bytes() for f in own.files]
        assert "shards; 2 classes: a, b" in listing.taken_for
        # One shard after another, so that each is read once.
        assert listing.files == sorted(listing.files, key=lambda file: file.path)
    assert shard_bytes_on_disk() == 0


def test_shards_that_were_packed_again_are_read_again(packed, tmp_path):
    _, folder = packed
    before = [read_content(file.path) for file in open_source(folder).files]
    shutil.rmtree(folder)
    pack(draw_tree(tmp_path / "new", {"a": 6, "b": 6}, seed=1), folder, 20_000)
    now = {file.name: read_content(file.path) for file in open_source(folder).files}
    assert all((tmp_path / "new" / name).read_bytes() == content for name, content in now.items())
    assert not {*now.values()} & {*before}


def test_samples_are_those_of_webdataset_and_read_without_unpacking(packed):
    pics, folder = packed
    shard = read_index(folder).shards[0]
    with tarfile.open(folder / shard.name) as archive:
        assert archive.getnames()[:3] == ["000000000.png", "000000000.cls", "000000000.json"]
    samples = [*read_samples(folder / shard.name, ["a", "b"])]
    assert len(samples) == shard.images
    assert all((pics / sample.name).read_bytes() == sample.content for sample in samples)


def test_a_damaged_shard_is_refused(packed):
    _, folder = packed
    shard = read_index(folder).shards[1]
    content = (folder / shard.name).read_bytes()
    (folder / shard.name).write_bytes(content[:-3000] + b"x" * 3000)
    with pytest.raises(DataError, match="is damaged: its size or SHA-256"):
        check_shard(folder / shard.name, shard)
    (folder / shard.name).write_bytes(content[:-1])
    with pytest.raises(DataError, match="is damaged: it has"):
        open_shards(folder)
    (folder / shard.name).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        check_shard(folder / shard.name, shard)
    with pytest.raises(DataError, match="cannot be read"):
        open_shards(folder)


@pytest.mark.parametrize("name", ["../000.png", "/000.png", "a/0.png", "x.png", "000.png.exe"])
def test_files_that_do_not_belong_into_a_shard_are_refused(tmp_path, name):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(DataError, match="does not belong there"):
        [*read_samples(tmp_path / "x.tar", ["a"])]
