"""The indexes of shards are what was written with the shards, or refused."""

import json

import pytest
from support.images import draw_tree
from support.packed import pack

from hubtune.data.shards.index import SHARD_INDEX, parse_index, parse_table, read_index, read_sample_table
from hubtune.errors import DataError


@pytest.fixture
def shards(tmp_path):
    return pack(draw_tree(tmp_path / "pics", {"a": 6, "b": 6}), tmp_path / "shards", 20_000)


def test_a_table_says_where_each_image_is(shards, tmp_path):
    index = read_index(shards)
    assert len(index.shards) > 2 and index.images == 12 and index.labels == ["a", "b"]
    for shard in index.shards:
        content = (shards / shard.name).read_bytes()
        for row in read_sample_table(shards, shard):
            own = (tmp_path / "pics" / row.name).read_bytes()
            assert content[row.offset : row.offset + row.size] == own
            assert index.labels[row.label] == row.name.split("/")[0] and not row.problem


def test_damaged_indexes_are_refused(shards):
    text = (shards / SHARD_INDEX).read_text()
    document = json.loads(text)
    bad_name = json.loads(text)
    bad_name["shards"][0]["name"] = "../x.tar"
    for wrong in ("[", "{}", json.dumps(bad_name)):
        with pytest.raises(DataError, match="is damaged"):
            parse_index(wrong.encode(), "shards.json")
    with pytest.raises(DataError, match="later version"):
        parse_index(json.dumps({**document, "schema_version": 3}).encode(), "shards.json")
    (shards / SHARD_INDEX).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_index(shards)


@pytest.mark.parametrize(
    ("column", "value"),
    [("offset", 10**9), ("size", -1), ("file", "../x.png"), ("sha256", "x"), ("bits", None)],
)
def test_a_table_that_names_what_is_not_in_the_shard_is_refused(shards, column, value):
    from hashlib import sha256

    shard = read_index(shards).shards[0]
    columns = json.loads((shards / shard.table_name).read_text())
    columns[column][0] = value
    content = json.dumps(columns).encode()
    with pytest.raises(DataError, match="its SHA-256 is not that of the index"):
        parse_table(content, shard, "x")
    object.__setattr__(shard, "table_sha256", sha256(content).hexdigest())
    with pytest.raises(DataError, match="is damaged"):
        parse_table(content, shard, "x")


def test_a_missing_table_is_one_sentence(shards):
    shard = read_index(shards).shards[0]
    (shards / shard.table_name).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_sample_table(shards, shard)
