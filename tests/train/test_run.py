"""What a run gives: the same seed the same model, and warnings of combinations that rarely make sense."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.callbacks import AtStep, request_stop
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, train_frozen, weight_bytes

import hubtune
from hubtune.errors import StoppedError


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_and_another_seed_another(run):
    one = weight_bytes(run("one", epochs=1))
    assert one == weight_bytes(run("same", epochs=1, workers=5))
    assert one != weight_bytes(run("other", epochs=1, seed=1))


def test_without_validation_the_last_model_is_kept(run, tmp_path):
    lists = draw_split(tmp_path / "two", {"a": 16, "b": 16})
    (lists / "validate_list.txt").unlink()
    trained = run(lists=lists, batch_size=500)
    assert (trained.validate, trained.best_step, trained.test.count) == (None, 2, 8)
    assert (trained.path / "checkpoints" / "step-2").is_dir()
    log = (trained.path / "train.log").read_text()
    assert "no validation list: the model of the last step is kept" in log
    assert "batch_size 500 is more than the 16 training pictures: an epoch is a single step" in log


def draw_deep_split(folder):
    """Draw grey images that use 12 of the 16 bits of their files."""
    draw_split(folder, {"a": 10, "b": 10}, validate=2, test=2)
    for file in (folder / "pics").rglob("*.png"):
        grey = np.asarray(Image.open(file).convert("L"))
        Image.fromarray(np.rint(grey * (4095 / 255)).astype(np.uint16)).save(file)
    return folder


@pytest.mark.slow
def test_pictures_of_12_bits_train_the_model_of_the_same_pictures_with_8(tmp_path, told):
    draw_deep_split(tmp_path / "deep")
    shutil.copytree(tmp_path / "deep", tmp_path / "plain")
    for file in (tmp_path / "plain" / "pics").rglob("*.png"):
        grey = np.rint(np.asarray(Image.open(file)) * (255 / 4095))
        Image.fromarray(grey.astype(np.uint8)).save(file)
    runs = {
        name: train_frozen(smallnet(), tmp_path / name, tmp_path / f"{name}-run")
        for name in ("plain", "deep")
    }
    said = "20 pictures of 16 bits use only 12 bits: they are scaled by 2^12 (-o data.bits=16 changes that)"
    assert told.text.count(said) == 1
    assert weight_bytes(runs["plain"]) == weight_bytes(runs["deep"])
    model = hubtune.load_model(runs["deep"].path)
    assert {view.bits for view in model.card.views} == {12}
    # The range is the model's; a picture beyond it is named.
    beyond = tmp_path / "beyond.png"
    Image.fromarray(np.full((40, 40), 60_000, np.uint16)).save(beyond)
    rows = list(model.predict([beyond, np.full((40, 40), 9000, np.uint16), next(tmp_path.rglob("a/*.png"))]))
    assert all(row.label for row in rows)
    for name, bits in ((beyond, 16), ("images[1]", 14)):
        assert f"{name} uses {bits} bits, but the model scales pictures of 16 bits by 2^12" in told.text
    assert told.text.count("cut off") == 2

    whole = train_frozen(smallnet(), tmp_path / "deep", tmp_path / "whole", bits=16)
    assert weight_bytes(whole) != weight_bytes(runs["deep"])
    train_frozen(smallnet(), tmp_path / "deep", tmp_path / "few", bits=10)
    assert "20 of 20 pictures of 16 bits use more than the 10 of data.bits" in told.text
    for wrong in (8, 17, "12 bits"):
        with pytest.raises(hubtune.UsageError, match=r"RunConfig\.bits"):
            hubtune.RunConfig(bits=wrong)


@pytest.mark.slow
@pytest.mark.parametrize("is_older", [False, True])
def test_a_resumed_run_keeps_its_bits_also_if_an_older_version_began_it(tmp_path, is_older):
    data, folder = draw_deep_split(tmp_path / "deep"), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(smallnet(), data, folder, callback=AtStep(1, request_stop))
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    assert manifest["bits"] == "auto"
    if is_older:
        del manifest["bits"]
        file.write_text(json.dumps(manifest))
    run = train(smallnet(), data, folder, resume=True)
    assert hubtune.load_model(run.path).card.preprocessing.bits == (16 if is_older else 12)


def test_a_finished_run_has_its_page_and_its_model_a_readme(tmp_path, monkeypatch, told):
    data = draw_split(tmp_path / "data", {"<b>a": 8, "b": 8}, validate=2, test=2)
    run = train(smallnet(), data, tmp_path / "run", strategy="frozen", report=True)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "test pictures" in page
    assert "<b>a" not in page
    readme = (run.best_model / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("---\nlicense: unknown\n")
    assert "| b | 4 | 2 | 2 |" in readme
    without = train(smallnet(), data, tmp_path / "off", strategy="frozen", report=False)
    assert not (without.path / "report.html").exists()
    # A page that cannot be made loses nothing.
    monkeypatch.setattr("hubtune.train.run.find", None)
    lost = train(smallnet(), data, tmp_path / "lost", strategy="frozen", report=True)
    assert not (lost.path / "report.html").exists()
    assert lost.test.accuracy == run.test.accuracy
    assert any("report.html is not written" in message for message in told.messages)


def test_a_run_without_test_list_reports_on_validation(tmp_path):
    data = draw_split(tmp_path / "data", {"a": 8, "b": 8}, validate=3, test=0)
    run = train(smallnet(), data, tmp_path / "run", strategy="frozen", report=True)
    assert "validation pictures" in (run.path / "report.html").read_text(encoding="utf-8")
