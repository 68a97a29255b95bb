"""Evaluations in training: averages are measured and kept, and training ends early if nothing improves."""

import json

import numpy as np
import pytest
from support.callbacks import AtStep, Recorder
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, weight_arrays

import hubtune


@pytest.fixture
def run(tmp_path):
    """Trains in a folder of its own."""
    data, module = draw_split(tmp_path, {"a": 14, "b": 10, "c": 6}, validate=2, test=0), smallnet()

    def make(name, **options):
        defaults = {"learning_rate": 1e-3, "batch_norm": "keep"}
        return train(module, data, tmp_path / name, **{**defaults, **options})

    return make


def _best(run):
    return json.loads((run.path / "result.json").read_text())["validate"]["accuracy"]


def test_the_moving_average_is_measured_and_kept(run):
    average, plain = run("average", ema=0.9), run("plain")
    one, other = weight_arrays(average.best_model), weight_arrays(plain.best_model)
    assert max(np.abs(values - other[name]).max() for name, values in one.items()) > 1e-4
    # Training itself continues with the weights.
    [one], [other] = ((made.path / "checkpoints").iterdir() for made in (average, plain))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_training_ends_early_if_nothing_improves(run):
    recorder = Recorder()
    trained = run("run", callback=recorder, learning_rate=1e-9, epochs=50, early_stopping=3)
    assert len(recorder.accuracies) == 4
    assert "the last 3 evaluations were not better" in recorder.notices[0]
    assert _best(trained) == recorder.accuracies[0]


def test_the_mean_of_the_best_is_kept_only_if_it_is_better(run, told):
    recorder = Recorder()
    trained = run("run", callback=recorder, average_best=3, epochs=4)
    assert "mean of the best weights: acc=" in told.text
    assert _best(trained) >= max(recorder.accuracies)
    assert not (trained.path / "candidates").exists()


def test_an_unreadable_validation_list_on_the_way_keeps_the_best_model(tmp_path):
    data = draw_split(tmp_path, {"a": 14, "b": 14, "c": 14})
    files = [example.path for example in hubtune.ListDataset(data).examples("validate")]
    spoil = AtStep(4, lambda: [file.write_bytes(b"") for file in files])
    options = {"epochs": 4, "batch_size": 6, "max_bad": "50%"}
    trained = train(smallnet(), data, tmp_path / "run", callback=spoil, **options)
    assert trained.best_step == 3
    assert trained.validate.count == 12
