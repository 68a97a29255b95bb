"""Lists of a bucket's images name keys, and every machine fetches its own copies."""

import json
import shutil

import pytest
from support.images import draw_tree

import hubtune
from hubtune.data.bucket_lists import image_root, mirrored_from, recorded_address
from hubtune.data.dataset import ListDataset
from hubtune.data.splits.files import read_groups
from hubtune.errors import MachineError


@pytest.fixture
def pictures(bucket, tmp_path):
    """Twelve images in a bucket, two of them equal; returns their address."""
    folder = draw_tree(tmp_path / "pics", {"a": 6, "b c": 6})
    shutil.copy(folder / "a" / "000.png", folder / "a" / "copy.png")
    for path in folder.rglob("*.png"):
        bucket.client.upload_file(str(path), bucket.name, f"pics/{path.relative_to(folder).as_posix()}")
    return bucket.at("pics")


@pytest.fixture
def lists(pictures, tmp_path):
    folder = tmp_path / "lists"
    hubtune.split(pictures, val=2, test=1).write(folder)
    return folder


def test_lists_name_keys_and_where_they_are(pictures, lists):
    lines = (lists / "train_list.txt").read_text().splitlines()
    assert len(lines) == 7 and all(line.startswith(("a/", "b c/")) for line in lines)
    record = json.loads((lists / "split.json").read_text())
    assert record["bucket"] == pictures == recorded_address(lists)
    assert sorted(record["groups"][0]) == ["a/000.png", "a/copy.png"]


def test_another_machine_fetches_the_images_that_the_lists_name(
    pictures, lists, tmp_path, monkeypatch, bucket
):
    bucket.client.put_object(Bucket=bucket.name, Key="pics/not/listed.png", Body=b"x")
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other home"))
    dataset = ListDataset(shutil.copytree(lists, tmp_path / "elsewhere"))
    examples = [entry for name in ("train", "validate", "test") for entry in dataset.examples(name)]
    assert len(examples) == 13 and all(entry.path.is_file() for entry in examples)
    assert dataset.image_root == image_root(dataset.base_path)
    assert str(tmp_path / "other home") in str(dataset.image_root)
    assert not (dataset.image_root / "not").exists() and not dataset.remarks
    groups = read_groups(dataset.lists_folder)
    assert groups and set(groups) <= {entry.path for entry in examples}
    assert mirrored_from([]) is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MachineError):
        ListDataset(lists).examples("train")


def test_images_of_several_places_stay_paths(pictures, tmp_path):
    split = hubtune.split(pictures)
    mixed = [split.lists["train"][0].path, tmp_path / "own.png"]
    assert mirrored_from(mixed) is None and mirrored_from(mixed[:1]).address == pictures
