"""The served models: their names, and their exchange while requests are answered."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from support.serving import image_bytes, serving, train_small
from support.waiting import wait_for

import hubtune
from hubtune.errors import ModelError, UsageError
from hubtune.runs.publisher import publishing
from hubtune.serve import app as app_module
from hubtune.serve import models as models_module
from hubtune.serve.models import ModelSource, ModelTable, named_sources, sample_images
from hubtune.storage.checked_folder import write_checked


def exchange(folder, other):
    """Write the model of another run in place of a run's, as training does."""
    source = other / "best_model"
    names = [file.name for file in source.iterdir() if file.name != "manifest.json"]
    write_checked(folder / "best_model", {name: (source / name).read_bytes() for name in names})


@pytest.mark.slow
def test_a_better_model_answers_without_a_lost_request(tmp_path, small_run, monkeypatch):
    monkeypatch.setattr(app_module, "_RELOAD_SECONDS", 0.05)
    run, other = tmp_path / "served", train_small(tmp_path, "other", "xyz")
    shutil.copytree(small_run, run)
    image, statuses, labels, done = image_bytes(), [], [], threading.Event()
    with serving({"m": run}, reload=True) as server:

        def ask():
            while not done.is_set():
                answer = server.ask("/predict", image)
                statuses.append(answer.status)
                labels.append("".join(sorted(answer.json["scores"])))

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        exchange(run, other)
        try:
            wait_for(lambda: labels and labels[-1] == "xyz")
        finally:
            done.set()
            for client in clients:
                client.join()
        [expected] = hubtune.load_model(other).predict([image])
        assert server.ask("/predict", image).json["scores"] == expected.scores
        assert server.ask("/models").json["models"][0]["labels"] == ["x", "y", "z"]
        assert 'hubtune_reloads_total{model="m"} 1.0' in server.ask("/metrics").body.decode()
    assert set(statuses) == {200} and set(labels) == {"abc", "xyz"}


def test_a_damaged_model_is_named_once_and_the_former_one_stays(tmp_path, small_run, told):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    table = ModelTable({"m": ModelSource(run)})
    former = table.default
    assert table.reload_changed() == []
    manifest = run / "best_model" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    weights = run / "best_model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert table.reload_changed() == table.reload_changed() == []
    shutil.rmtree(run / "best_model")
    assert table.reload_changed() == []
    assert table.default is former
    assert len([line for line in told.messages if "keeps its model" in line]) == 1


def test_names_come_from_folders_or_are_given():
    sources = named_sources([Path("runs/trash"), Path("runs/bin day/")], ["b.2=runs/x=y"])
    assert {name: str(source.folder) for name, source in sources.items()} == {
        "trash": "runs/trash",
        "bin-day": "runs/bin day",
        "b.2": "runs/x=y",
    }
    for folders, named, message in (
        ([Path("a/x"), Path("b/x")], [], "Two models have the name x: give one another by --model NAME=RUN"),
        ([], ["x"], "write NAME=RUN"),
        ([], ["=x"], "write NAME=RUN"),
        ([], ["a/b=x"], "write NAME=RUN"),
        ([], ["a="], "write NAME=RUN"),
    ):
        with pytest.raises(UsageError, match=message):
            named_sources(folders, named)


@pytest.mark.slow
def test_a_run_in_a_bucket_is_followed_by_its_pointer(tmp_path, small_run, bucket, monkeypatch):
    monkeypatch.setattr(models_module, "BUCKET_SECONDS", 0.0)
    other = train_small(tmp_path, "other", "xyz")
    with publishing(bucket.at("runs/m"), small_run):
        pass
    sources = named_sources([bucket.at("runs/m")], [f"again={bucket.at('runs/m')}"])
    assert [*sources] == ["m", "again"]
    table = ModelTable({"m": sources["m"]})
    assert table.reload_changed() == [] and table.default.model.labels == ["a", "b", "c"]
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    exchange(run, other)
    with publishing(bucket.at("runs/m"), run):
        pass
    assert table.reload_changed() == ["m"] and table.default.model.labels == ["x", "y", "z"]
    assert table.reload_changed() == []


def test_a_folder_without_a_model_is_refused_before_the_port_opens(tmp_path):
    with pytest.raises(ModelError, match="There is no run or model"):
        ModelTable({"m": ModelSource(tmp_path / "none")})


def test_engines_start_with_images_of_four_shapes():
    assert len({image.size for image in sample_images()}) == 4


def test_a_hostile_folder_is_refused_and_nothing_of_it_runs(tmp_path, small_run):
    best = small_run / "best_model"
    files = {file.name: file.read_bytes() for file in best.iterdir() if file.name != "manifest.json"}
    card = json.loads(files["model.json"])
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w')".encode()
    for number, changed in enumerate(
        (
            {"architecture": "module.py"},
            {"architecture": "../module.py"},
            {"hidden_units": [10**18]},
            {"labels": ["a"] * 10**6},
            {"labels": ["a", "b", "c", "../../etc/passwd"]},
            {"preprocessing": {**card["preprocessing"], "size": 10**12}},
        )
    ):
        folder = tmp_path / str(number)
        content = json.dumps({**card, **changed}).encode()
        write_checked(folder, {**files, "model.json": content, "module.py": code})
        with pytest.raises(ModelError):
            ModelTable({"m": ModelSource(folder)})
    assert not canary.exists()
