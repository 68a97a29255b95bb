"""Lists are written into a bucket if other machines can use them."""

import pytest
from support.images import draw_tree

import hubtune
from hubtune.data.bucket_dataset import BucketDataset
from hubtune.data.splits.bucket_files import write_to_bucket
from hubtune.errors import UsageError
from hubtune.storage.object_store import ObjectStore

LISTS = dict.fromkeys(("train", "validate", "test", "labels"))


@pytest.fixture
def pictures(bucket, tmp_path):
    folder = draw_tree(tmp_path / "pics", {"a": 6, "b": 6})
    for path in folder.rglob("*.png"):
        bucket.client.upload_file(str(path), bucket.name, f"pics/{path.relative_to(folder).as_posix()}")
    return folder, bucket.at("pics")


def test_lists_in_a_bucket_are_those_of_a_folder_and_a_base_for_other_machines(
    pictures, bucket, tmp_path, monkeypatch
):
    split = hubtune.split(pictures[1], val=2, test=1)
    names = write_to_bucket(split, bucket.at("lists"))
    split.write(tmp_path / "lists")
    store = ObjectStore(bucket.at("lists"))
    assert {name: store.get(name) for name in names} == {
        path.name: path.read_bytes() for path in (tmp_path / "lists").iterdir()
    }
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other home"))
    dataset = BucketDataset(bucket.at("lists"), LISTS, complete=False)
    entries = [entry for name in ("train", "validate", "test") for entry in dataset.examples(name)]
    assert len(entries) == 12 and all(entry.path.is_file() for entry in entries)


@pytest.mark.slow
def test_other_lists_stay_unless_forced_and_paths_of_this_machine_are_refused(pictures, bucket):
    folder, address = pictures
    write_to_bucket(hubtune.split(address, val=2, test=1), bucket.at("lists"))
    write_to_bucket(hubtune.split(address, val=2, test=1), bucket.at("lists"))
    other = hubtune.split(address, val=1)
    with pytest.raises(UsageError, match=r"has .*test_list.txt.* with other content already: add --force"):
        write_to_bucket(other, bucket.at("lists"))
    write_to_bucket(other, bucket.at("lists"), force=True)
    assert "test_list.txt" not in ObjectStore(bucket.at("lists")).list()
    with pytest.raises(UsageError, match="The pictures are files of this machine"):
        write_to_bucket(hubtune.split(folder), bucket.at("more"))
    assert ObjectStore(bucket.at("more")).list() == {}
