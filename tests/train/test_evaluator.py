"""Evaluations in training: averages are measured and kept, and training ends early if nothing improves."""

import numpy as np
import pytest
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


@pytest.mark.parametrize(("after", "best", "count"), [(0, 12, None), (4, 3, 6)])
def test_a_validation_list_that_cannot_be_read_counts_as_none_or_keeps_the_best_model(
    run, data, after, best, count
):
    def spoil():
        for example in hubtune.ListDataset(data).examples("validate"):
            example.path.write_bytes(b"")

    if not after:
        spoil()
    trained = run(callback=AtStep(after, spoil), epochs=4, max_bad="50%")
    assert trained.best_step == best
    assert (trained.validate and trained.validate.count) == count
    assert "none of the 6 validate pictures can be read" in (trained.path / "train.log").read_text()
