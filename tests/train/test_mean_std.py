"""``mean_std: from_data``: measured once, kept by the run and the model, and refused where there is none."""

import json

import pytest
from PIL import Image
from support.callbacks import AtStep, request_stop
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, train_frozen, weight_bytes

import hubtune
from hubtune.errors import DataError, ModelError, StoppedError


@pytest.fixture
def lists(tmp_path):
    return draw_split(tmp_path / "data", {"a": 16, "b": 16}, validate=4, test=4)


def settings(model):
    return model.card.preprocessing.mean, model.card.preprocessing.std


@pytest.mark.slow
def test_the_model_keeps_what_was_measured_on_the_training_list(lists, tmp_path, told):
    run = train(smallnet(), lists, tmp_path / "run", epochs=1, mean_std="from_data")
    record = json.loads((run.path / "mean_std.json").read_text())
    assert record["images"] == 16
    assert settings(hubtune.load_model(run.path)) == (tuple(record["mean"]), tuple(record["std"]))
    assert f"mean {record['mean'][0]}, " in told.text
    assert "trained with their own" not in told.text
    # The test and validation lists do not count.
    for name in ("validate", "test"):
        for path in hubtune.ListDataset(lists).examples(name):
            Image.new("RGB", (40, 40), "white").save(path.path)
    again = train(smallnet(), lists, tmp_path / "again", epochs=1, mean_std="from_data")
    assert json.loads((again.path / "mean_std.json").read_text()) == record
    plain = train(smallnet(), lists, tmp_path / "plain", epochs=1)
    assert not (plain.path / "mean_std.json").exists()
    assert settings(hubtune.load_model(plain.path)) == ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_record(lists, tmp_path):
    options = {"mean_std": "from_data", "save_ckpt_interval": 1}
    whole = train(smallnet(), lists, tmp_path / "whole", **options)
    with pytest.raises(StoppedError):
        train(smallnet(), lists, tmp_path / "run", callback=AtStep(2, request_stop), **options)
    record = tmp_path / "run" / "mean_std.json"
    content = record.read_text()
    # What is in the folder counts, not what would be measured now.
    Image.new("RGB", (40, 40)).save(hubtune.ListDataset(lists).examples("train")[0].path)
    record.write_text('{"mean": [0.5')
    with pytest.raises(ModelError, match=r"mean_std\.json is damaged"):
        train(smallnet(), lists, tmp_path / "run", resume=True, **options)
    record.write_text(content)
    resumed = train(smallnet(), lists, tmp_path / "run", resume=True, **options)
    assert settings(hubtune.load_model(resumed.path)) == settings(hubtune.load_model(whole.path))


@pytest.mark.slow
def test_a_frozen_run_and_pretrained_weights_are_allowed_with_a_warning(lists, tmp_path, told):
    module = hubtune.Module("digitnet")
    run = train_frozen(module, lists, tmp_path / "run", mean_std="from_data")
    assert "the weights of digitnet were trained with their own mean and standard deviation" in told.text
    record = json.loads((run.path / "mean_std.json").read_text())
    assert {view.mean for view in hubtune.load_model(run.path).card.views} == {tuple(record["mean"])}


def test_pictures_of_one_colour_and_none_at_all_are_refused(lists, tmp_path):
    paths = [example.path for example in hubtune.ListDataset(lists).examples("train")]
    for path in paths:
        Image.new("RGB", (40, 40), "red").save(path)
    with pytest.raises(DataError, match="has the same value in all training pictures"):
        train(smallnet(), lists, tmp_path / "run", mean_std="from_data")
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="No training picture can be read"):
        train(smallnet(), lists, tmp_path / "other", mean_std="from_data", max_bad="100%")


@pytest.mark.slow
def test_the_weights_depend_on_the_pictures_alone(lists, tmp_path):
    one, other = (
        weight_bytes(train(smallnet(), lists, tmp_path / f"{workers}", workers=workers, mean_std="from_data"))
        for workers in (1, 4)
    )
    assert one == other
