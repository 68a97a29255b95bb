"""The indexes of shards in a bucket are fetched, once."""

import shutil

import pytest
from support.images import draw_tree
from support.object_service import FaultyProxy, use_endpoint
from support.packed import pack, shard_bytes_on_disk, upload

from hubtune.data.shards.cache import fetch_shard
from hubtune.data.shards.members import find_shard
from hubtune.data.shards.remote import fetch_shard_indexes, shard_folder_of
from hubtune.errors import DataError


@pytest.fixture
def shards(tmp_path):
    return pack(draw_tree(tmp_path / "pics", {"a": 12, "b": 12}), tmp_path / "shards", 25_000)


def test_only_indexes_are_fetched_and_the_second_time_one(shards, bucket, moto_endpoint, monkeypatch):
    address = upload(shards, bucket, "s")
    folder = fetch_shard_indexes(address)
    assert folder == shard_folder_of(address + "/") and shard_bytes_on_disk() == 0
    with FaultyProxy(moto_endpoint, lambda method, path, number: None) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        assert fetch_shard_indexes(address) == folder and proxy.count == 1
    use_endpoint(monkeypatch, moto_endpoint)
    assert fetch_shard_indexes(bucket.at("nothing")) is None
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert fetch_shard_indexes(address) == folder and fetch_shard_indexes(bucket.at("nothing")) is None


def test_shards_that_were_packed_again_are_fetched_again(shards, bucket, tmp_path):
    folder = fetch_shard_indexes(upload(shards, bucket, "s"))
    file = folder / "shard-000000.tar"
    assert fetch_shard(find_shard(str(file))) and file.exists()
    shutil.rmtree(shards)
    pack(draw_tree(tmp_path / "new", {"a": 12, "b": 12}, seed=1), shards, 25_000)
    assert fetch_shard_indexes(upload(shards, bucket, "s")) == folder and not file.exists()


@pytest.mark.parametrize("content", [None, b"x"])
def test_a_missing_or_damaged_table_is_one_sentence(shards, bucket, content):
    address = upload(shards, bucket, "s")
    bucket.client.delete_object(Bucket=bucket.name, Key="s/shard-000001.samples.json")
    if content:
        bucket.client.put_object(Bucket=bucket.name, Key="s/shard-000001.samples.json", Body=content)
    with pytest.raises(DataError, match=r"shard-000001.samples.json.*pack the pictures again"):
        fetch_shard_indexes(address)
