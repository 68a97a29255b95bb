"""Sources are packed to the same bytes everywhere, with the index last."""

import json
import tarfile

import pytest
from support.images import draw_tree
from support.multi_label import LABELS, draw_labelled, write_label_table

from hubtune.data.pack import pack_listing
from hubtune.data.shards.index import SHARD_INDEX, parse_index
from hubtune.data.sources.open import open_source
from hubtune.data.sources.shards import read_samples
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.object_store import ObjectStore


@pytest.fixture
def listing(tmp_path):
    return open_source(draw_tree(tmp_path / "pics", {"a": 8, "b": 8}))


def test_a_source_becomes_the_same_shards_in_a_folder_and_in_a_bucket(listing, tmp_path, bucket):
    index, left_out = pack_listing(listing, str(tmp_path / "one"), shard_bytes=30_000)
    again, _ = pack_listing(listing, bucket.at("shards"), shard_bytes=30_000)
    assert index == again and left_out == 0 and index.images == 16
    store = ObjectStore(bucket.at("shards"))
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {name: store.get(name) for name in store.list()}
    assert parse_index(files[SHARD_INDEX], "x") == index
    # Every shard has both classes, as the order is drawn.
    for shard in index.shards[:-1]:
        samples = read_samples(tmp_path / "one" / shard.name, ["a", "b"])
        assert {sample.label for sample in samples} == {"a", "b"}


def test_what_is_there_stays_and_nothing_is_half_when_a_file_is_lost(listing, tmp_path, bucket, monkeypatch):
    for out in (str(tmp_path / "pics"), bucket.at("shards")):
        ObjectStore(bucket.at("shards")).put(SHARD_INDEX, b"{}")
        with pytest.raises(UsageError, match="already"):
            pack_listing(listing, out, shard_bytes=2**20)
    listing.files[3].path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        pack_listing(listing, bucket.at("other"), shard_bytes=2**20)
    assert ObjectStore(bucket.at("other")).list() == {}
    listing.files.clear()
    with pytest.raises(DataError, match="There is no picture"):
        pack_listing(listing, str(tmp_path / "two"), shard_bytes=2**20)


def test_a_folder_that_cannot_be_written_is_one_sentence(listing, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((MachineError, UsageError)):
        pack_listing(listing, str(tmp_path / "file" / "x"), shard_bytes=2**20)


def test_multi_label_data_keeps_its_labels(tmp_path):
    paths, truth = draw_labelled(tmp_path, 12)
    listing = open_source(write_label_table(tmp_path / "table.csv", paths, truth))
    index, _ = pack_listing(listing, str(tmp_path / "shards"), shard_bytes=2**20)
    again = open_source(tmp_path / "shards")
    assert again.label_sets == index.label_sets == listing.label_sets
    assert {file.name: file.label for file in again.files} == {
        file.name: file.label for file in listing.files
    }
    assert "multi-label, 4 labels" in again.taken_for
    with tarfile.open(tmp_path / "shards" / index.shards[0].name) as archive:
        about = json.load(archive.extractfile("000000000.json"))
    own = dict(zip(paths, truth, strict=True))[about["name"]]
    assert about["labels"] == [label for label, has in zip(LABELS, own, strict=True) if has]
