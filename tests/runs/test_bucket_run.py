"""A run in a bucket is found, and brought whole to a machine that lacks it."""

import json
from pathlib import Path

import pytest
from support.bucket_runs import write_run

from hubtune.errors import LockedError, ModelError, UsageError
from hubtune.runs.bucket_layout import LOCK, POINTER, checkpoints_in
from hubtune.runs.bucket_run import BucketRun, choose_bucket_run, fetch_run, folder_for, has_run
from hubtune.runs.publisher import Publisher
from hubtune.storage.checked_folder import MANIFEST, integrity_error
from hubtune.storage.object_store import ObjectStore


@pytest.fixture
def published(bucket, tmp_path):
    """A run with checkpoints of the steps 1 and 2 in a bucket; returns its address and its store."""
    store = ObjectStore(bucket.at("runs/x"))
    publisher = Publisher(store, tmp_path / "writer", None)
    for step in (1, 2):
        write_run(tmp_path / "writer", step)
        publisher.publish(last=True)
    return bucket.at("runs/x"), store


def _content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_run_is_brought_to_a_machine_that_has_nothing_of_it(published, tmp_path):
    address, _ = published
    fetch_run(address, tmp_path / "here")
    own = _content(tmp_path / "writer")
    assert _content(tmp_path / "here") == {name: own[name] for name in own if "step-1/" not in name}


def test_a_folder_that_is_ahead_stays_and_one_that_is_behind_gets_what_is_newer(published, tmp_path):
    address, _ = published
    ahead, behind = write_run(tmp_path / "ahead", 3), write_run(tmp_path / "behind", 1)
    before = _content(ahead)
    fetch_run(address, ahead)
    fetch_run(address, behind)
    assert _content(ahead) == before
    assert (behind / "checkpoints" / "step-2").is_dir() and (behind / "metrics.jsonl").read_bytes().count(
        b"\n"
    ) == 2
    assert json.loads((behind / "best_model" / "model.json").read_text()) == {"step": 2}


def test_a_damaged_checkpoint_is_passed_over_and_a_damaged_model_refused(published, tmp_path, caplog):
    address, store = published
    newest = checkpoints_in(store.list())[0]
    store.put(f"{newest.name}/state.json", b"9")
    fetch_run(address, tmp_path / "here")
    assert [path.name for path in (tmp_path / "here" / "checkpoints").iterdir()] == ["step-1"]
    assert "is skipped" in caplog.text and "SHA-256" in caplog.text
    pointed = json.loads(store.get(POINTER))["folder"]
    store.put(f"{pointed}/model.json", b"{}")
    with pytest.raises(ModelError, match="the model in the bucket cannot be used"):
        fetch_run(address, tmp_path / "other")
    assert not (tmp_path / "other" / "recipe.yaml").exists()


def test_a_checkpoint_without_a_manifest_is_never_read(published, tmp_path):
    address, store = published
    store.put("checkpoints/step-00000009-00000000/state.json", b"9")
    newest = next(each for each in checkpoints_in(store.list()) if each.complete)
    store.delete(f"{newest.name}/{MANIFEST}")
    fetch_run(address, tmp_path / "here")
    assert integrity_error(tmp_path / "here" / "checkpoints" / "step-1") is None
    assert not (tmp_path / "here" / "checkpoints" / "step-9").exists()


@pytest.mark.slow
def test_places_are_numbered_as_on_the_disk_and_a_run_in_use_is_refused(
    published, bucket, tmp_path, monkeypatch
):
    address, store = published
    monkeypatch.chdir(tmp_path)
    assert has_run(address) and not has_run(bucket.at("runs/y"))
    assert choose_bucket_run(bucket.at("runs/y"), resume=False).address == bucket.at("runs/y")
    assert choose_bucket_run(address, resume=False) == BucketRun(f"{address}-2", folder_for(f"{address}-2"))
    assert choose_bucket_run(f"{address}/", resume=True) == BucketRun(address, folder_for(address))
    assert (folder_for(address) / "recipe.yaml").exists()
    store.put(LOCK, b"{}")
    with pytest.raises(LockedError, match="is in use by another process"):
        choose_bucket_run(address, resume=False)
    with pytest.raises(ModelError, match="There is no run at s3://"):
        fetch_run(bucket.at("nothing"), tmp_path / "none")


def test_the_folder_of_an_address_is_its_own_and_stays_the_same():
    one, two = folder_for("s3://b/runs/x"), folder_for("s3://other/runs/x")
    assert one == folder_for("s3://b/runs/x/") != two and one.parent == Path("runs")
    assert one.name.startswith("x-")
    with pytest.raises(UsageError):
        folder_for("gs://b/x")
    with pytest.raises(
        UsageError, match="is a whole bucket: name a folder in it for the run, s3://b/runs/NAME"
    ):
        choose_bucket_run("s3://b", resume=False)
