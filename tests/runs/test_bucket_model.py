"""Models in buckets are fetched once for each state, checked, and used like those on the disk."""

import json
from pathlib import Path

import pytest

from hubtune.errors import ModelError
from hubtune.runs.bucket_layout import POINTER
from hubtune.runs.bucket_model import local_model
from hubtune.runs.bucket_run import folder_for
from hubtune.runs.publisher import Publisher
from hubtune.storage.checked_folder import write_checked
from hubtune.storage.object_store import ObjectStore

RECIPE = "data: {{base: {base}, train: train_list.txt}}\nmodule: smallnet\nrun: {run}\n"


@pytest.fixture
def publish(bucket, tmp_path):
    """Writes a run with a model of a step and publishes it; returns its address."""
    address, folder = bucket.at("runs/x"), tmp_path / "run"

    def write(step, base="pics"):
        (folder / "lists").mkdir(parents=True, exist_ok=True)
        (folder / "lists" / "train_list.txt").write_text("a 0\n")
        (folder / "recipe.yaml").write_text(RECIPE.format(base=base, run=address))
        write_checked(folder / "best_model", {"model.json": json.dumps({"step": step}).encode()})
        Publisher(ObjectStore(address), folder, None).publish(last=True)
        return address

    return write


def _step(folder):
    return json.loads((folder / "model.json").read_text())["step"]


@pytest.mark.slow
def test_a_run_is_fetched_once_and_again_when_it_has_a_better_model(publish, monkeypatch):
    address = publish(1)
    folder = local_model(address)
    assert folder.name == "x" and _step(folder / "best_model") == 1
    assert (folder / "recipe.yaml").is_file() and not (folder / "train.log").exists()
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "download", lambda *_: pytest.fail("it was fetched again"))
        assert local_model(address) == folder
    publish(2)
    assert _step(local_model(address) / "best_model") == 2 and _step(folder / "best_model") == 1


def test_lists_that_were_made_for_the_run_are_those_beside_its_recipe(publish):
    address = publish(1, base=f"{folder_for('s3://b/x').parent}/x-00000000/lists")
    assert "x-00000000" in (local_model(address) / "recipe.yaml").read_text()  # of another run
    address = publish(1, base=folder_for(address) / "lists")
    folder = local_model(address)
    assert f"base: {folder / 'lists'}\n" in (folder / "recipe.yaml").read_text()
    assert (folder / "lists" / "train_list.txt").is_file()


def test_a_model_folder_is_fetched_by_its_own_address(publish, bucket):
    address = publish(3)
    name = json.loads(ObjectStore(address).get(POINTER))["folder"]
    assert _step(local_model(f"{address}/{name}")) == 3


def test_a_path_stays_and_what_is_no_model_or_damaged_is_refused(publish, bucket):
    assert local_model("runs/x") == local_model(Path("runs/x")) == Path("runs/x")
    with pytest.raises(ModelError, match="There is no run or model at s3://"):
        local_model(bucket.at("nothing"))
    store = ObjectStore(bucket.at("early"))
    store.put("recipe.yaml", b"")
    with pytest.raises(ModelError, match="has no model yet"):
        local_model(bucket.at("early"))
    address = publish(1)
    name = json.loads(ObjectStore(address).get(POINTER))["folder"]
    ObjectStore(address).put(f"{name}/model.json", b"{}")
    for place in (address, f"{address}/{name}"):
        with pytest.raises(ModelError, match="the model in the bucket cannot be used"):
            local_model(place)
