"""Evaluations in training: averages are measured and kept, and training ends early if nothing improves."""

import numpy as np
from support.callbacks import AtStep, Recorder
from support.tiny_task import weight_arrays

import hubtune

DEFAULTS = {"learning_rate": 1e-3, "batch_norm": "keep"}


def test_the_moving_average_is_measured_and_kept(run):
    average, plain = run("average", ema=0.9), run("plain")
    one, other = weight_arrays(average.best_model), weight_arrays(plain.best_model)
    assert max(np.abs(values - other[name]).max() for name, values in one.items()) > 1e-4
    # Training itself continues with the weights.
    [one], [other] = ((made.path / "checkpoints").iterdir() for made in (average, plain))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_training_ends_early_if_nothing_improves(run):
    recorder = Recorder()
    trained = run(callback=recorder, learning_rate=1e-9, epochs=50, early_stopping=3)
    assert len(recorder.accuracies) == 4
    assert "the last 3 evaluations were not better" in recorder.notices[0]
    assert trained.validate.accuracy == recorder.accuracies[0]


def test_the_mean_of_the_best_is_kept_only_if_it_is_better(run, told):
    recorder = Recorder()
    trained = run(callback=recorder, average_best=3, epochs=4)
    assert "mean of the best weights: acc=" in told.text
    assert trained.validate.accuracy >= max(recorder.accuracies)
    assert not (trained.path / "candidates").exists()


def test_an_unreadable_validation_list_on_the_way_keeps_the_best_model(run, data):
    files = [example.path for example in hubtune.ListDataset(data).examples("validate")]
    spoil = AtStep(4, lambda: [file.write_bytes(b"") for file in files])
    trained = run(callback=spoil, epochs=4, max_bad="50%")
    assert trained.best_step == 3
    assert trained.validate.count == 6
