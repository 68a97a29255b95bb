"""Images in shards are read by their paths, and are what was packed."""

from pathlib import Path

import pytest
from support.images import draw_tree
from support.packed import pack, upload

from hubtune.data.images.decode import ImageError, decode, read_content
from hubtune.data.images.verify import check_ends
from hubtune.data.shards.cache import fetch_shard
from hubtune.data.shards.members import (
    address_of,
    file_exists,
    find_member,
    find_shard,
    read_local_member,
    read_member,
    reading_order,
    shards_of,
)
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError, MachineError


@pytest.fixture
def shards(tmp_path):
    return pack(draw_tree(tmp_path / "pics", {"a": 6, "b": 6}), tmp_path / "shards", 20_000)


def test_an_image_in_a_shard_is_read_and_decoded_as_its_file(shards, tmp_path):
    for file in open_source(shards).files:
        own = tmp_path / "pics" / file.name
        assert file_exists(file.path) and not file.path.exists()
        assert read_content(file.path) == own.read_bytes() == read_member(file.path)
        assert decode(file.path).tobytes() == decode(own).tobytes()
        assert check_ends(file.path) == 0


def test_other_paths_name_no_image(shards, tmp_path):
    first = open_source(shards).files[0].path
    (tmp_path / "x.tar").mkdir()
    (tmp_path / "x.tar" / "1.jpg").write_bytes(b"x")
    for path in (
        first.with_name("999999999.png"),
        first.parent.with_name("shard-999999.tar") / first.name,
        tmp_path / "x.tar" / "1.jpg",
        tmp_path / "a.tar",
        Path("1.jpg"),
    ):
        assert find_member(path) is None and read_member(path) is None
        assert read_local_member(path) is None
    assert file_exists(tmp_path / "x.tar" / "1.jpg") and not file_exists(first.with_name("1.png"))
    with pytest.raises(ImageError):
        decode(first.with_name("999999999.png"))


def test_a_damaged_or_lost_shard_is_an_error_of_the_image(shards):
    first, *_, last = (file.path for file in open_source(shards).files)
    content = bytearray(first.parent.read_bytes())
    content[find_member(first).offset + 5] ^= 1
    first.parent.write_bytes(content)
    with pytest.raises(ImageError, match="not as it was packed"):
        read_content(first)
    last.parent.unlink()
    with pytest.raises(ImageError, match="no such file"):
        decode(last)


def test_images_are_ordered_and_counted_by_shards(shards, tmp_path):
    files = [file.path for file in open_source(shards).files]
    assert files == sorted(files, key=reading_order)
    assert reading_order(tmp_path / "pics" / "a" / "000.png") == ("", "")
    found, numbers = shards_of([*files, tmp_path / "x.png"])
    assert [shard.entry.name for shard in found] == sorted({path.parent.name for path in files})
    assert [found[number].file for number in numbers[:-1]] == [path.parent for path in files]
    assert numbers[-1] == -1


def test_an_image_of_a_shard_in_a_bucket_is_read_by_a_request_or_from_the_fetched_shard(shards, bucket):
    address = upload(shards, bucket, "s")
    files = open_source(address).files
    assert [read_content(file.path) for file in files] == [
        read_content(file.path) for file in open_source(shards).files
    ]
    path = files[0].path
    shard = find_shard(str(path.parent))
    assert not path.parent.exists() and address_of(path.parent.parent) == address
    with pytest.raises(FileNotFoundError):
        read_local_member(path)
    assert fetch_shard(shard) and path.parent.is_file()
    own = read_content(path)
    assert read_local_member(path) == own
    bucket.client.delete_object(Bucket=bucket.name, Key=f"s/{path.parent.name}")
    assert read_content(path) == own
    path.parent.unlink()
    with pytest.raises(ImageError, match="no longer in the bucket"):
        read_content(path)


def test_damage_on_the_disk_is_cured_from_the_bucket(shards, bucket):
    path = open_source(upload(shards, bucket, "s")).files[0].path
    own = read_content(path)
    assert fetch_shard(find_shard(str(path.parent)))
    path.parent.write_bytes(b"x" * path.parent.stat().st_size)
    assert read_content(path) == own


def test_without_a_network_what_is_not_here_is_one_sentence(shards, bucket, monkeypatch):
    path = open_source(upload(shards, bucket, "t")).files[0].path
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE"):
        read_content(path)


def test_a_damaged_record_of_the_address_is_refused(tmp_path):
    (tmp_path / "source.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        address_of(tmp_path)
