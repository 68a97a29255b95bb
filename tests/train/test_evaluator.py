"""Evaluations in training: averages are measured and kept, and training ends early if nothing improves."""

import shutil

import numpy as np
import pytest
from support.callbacks import AtStep, Recorder, press_ctrl_c
from support.tiny_task import weight_arrays

import hubtune
from hubtune.errors import ModelError, StoppedError

DEFAULTS = {"learning_rate": 1e-3, "batch_norm": "keep"}


@pytest.mark.slow
def test_the_moving_average_is_measured_and_kept(run):
    average, plain = run("average", ema=0.9), run("plain")
    one, other = weight_arrays(average.best_model), weight_arrays(plain.best_model)
    assert max(np.abs(values - other[name]).max() for name, values in one.items()) > 1e-4
    # Training itself continues with the weights.
    [one], [other] = ((made.path / "checkpoints").iterdir() for made in (average, plain))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_training_ends_early_if_nothing_improves(run):
    recorder = Recorder()
    trained = run(callback=recorder, learning_rate=1e-9, epochs=50, early_stopping=3)
    assert len(recorder.accuracies) == 4
    assert "the last 3 evaluations were not better" in recorder.notices[0]
    assert trained.validate.accuracy == recorder.accuracies[0]


@pytest.mark.slow
def test_the_mean_of_the_best_is_kept_only_if_it_is_better(run, told):
    recorder = Recorder()
    trained = run(callback=recorder, average_best=3, epochs=4)
    assert "mean of the best weights: acc=" in told.text
    assert trained.validate.accuracy >= max(recorder.accuracies)
    assert not (trained.path / "candidates").exists()


@pytest.mark.slow
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


@pytest.mark.parametrize("stop_after", [pytest.param(7, marks=pytest.mark.slow), 5])
def test_a_lost_best_model_is_written_again_or_missed_before_training(
    run, tmp_path, told, invent_accuracies, stop_after
):
    options = {"eval_interval": 3, "save_ckpt_interval": 3, "epochs": 4}
    invent_accuracies([0.5, 0.9])
    with pytest.raises(StoppedError):
        run(callback=AtStep(stop_after, press_ctrl_c), **options)
    shutil.rmtree(tmp_path / "run" / "best_model")
    told.clear()
    best = 3
    if stop_after == 5:
        with pytest.raises(ModelError, match=r"the model of step 3: continue .* --resume --checkpoint 3"):
            run(resume=True, **options)
        assert "[TRAIN]" not in told.text
    else:
        best = 6
        shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-7")  # as if the machine had lost power
    invent_accuracies([0.9, 0.5, 0.3, 0.2])
    assert run(resume=True, checkpoint=best, **options).best_step == best
    assert f"it is written again, from the checkpoint of step {best}" in told.text
