"""Strategies that train from the solution of `frozen`: `from_frozen`, and `last_stage` where it is alike."""

import numpy as np
import pytest
from support.callbacks import AtAdvance, Recorder, press_ctrl_c
from support.tiny_task import train_frozen, weight_arrays, weight_bytes

from hubtune.errors import StoppedError

MODULE, DEFAULTS = "digitnet", {"strategy": "from_frozen", "epochs": 3, "learning_rate": 1e-3}
FAINT = {"each": 20, "validate": 6, "difference": 8}
PARTS = {"from_frozen": "all parameters", "last_stage": "the last stage"}


@pytest.mark.parametrize("strategy", PARTS)
@pytest.mark.slow
def test_the_model_of_frozen_stays_unless_training_helps_by_more_than_chance(
    run, module, data, tmp_path, invent_accuracies, strategy
):
    frozen, recorder = train_frozen(module, data, tmp_path / "frozen"), Recorder()
    trained = run(strategy=strategy, learning_rate=1e-9, callback=recorder)
    assert (trained.best_step, trained.test.accuracy) == (0, frozen.test.accuracy)
    notice = f"Training {PARTS[strategy]} did not help on the validation list by more than chance"
    assert any(notice in each for each in recorder.notices)
    before, after = weight_arrays(frozen.best_model), weight_arrays(trained.best_model)
    assert all(np.array_equal(values, after[name]) for name, values in before.items())
    invent_accuracies([0.5, 0.6, 0.61, 0.6, 0.5])  # of 18 images: the standard error is 0.118
    trained = run(strategy=strategy)
    assert (trained.best_step, trained.validate.accuracy) == (0, 0.5)


@pytest.mark.parametrize("strategy", [pytest.param("from_frozen", marks=pytest.mark.slow), "last_stage"])
def test_the_part_is_trained_the_views_stay_and_a_resumed_run_ends_with_the_same_weights(
    run, module, data, tmp_path, ever_better, strategy
):
    options = {"strategy": strategy, **({"augment": "flip"} if strategy == "from_frozen" else {})}
    frozen = train_frozen(module, data, tmp_path / "frozen")
    ever_better()
    whole = run("whole", **options)
    assert whole.best_step > 0
    before, after = weight_arrays(frozen.best_model), weight_arrays(whole.best_model)
    moved = {name.split(".")[1] for name in after if not np.array_equal(after[name], before[name])}
    own = {id(tensor) for tensor in module.stages[-2].parameters()}
    last = {name.split(".")[0] for name, tensor in module.network.named_parameters() if id(tensor) in own}
    assert moved & last
    assert (moved <= last | {"0", "weight", "bias"}) == (strategy == "last_stage")
    assert whole.views == frozen.views
    ever_better()
    with pytest.raises(StoppedError):
        run("stopped", callback=AtAdvance(7, press_ctrl_c, training=True), **options)
    resumed = run("stopped", resume=True, **options)
    assert (resumed.best_step, weight_bytes(resumed)) == (whole.best_step, weight_bytes(whole))
    assert (resumed.path / "metrics.jsonl").read_text() == (whole.path / "metrics.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", PARTS)
def test_ctrl_c_while_a_resumed_run_solves_the_head_again_keeps_the_trained_model(
    run, monkeypatch, tmp_path, ever_better, strategy
):
    ever_better()
    with pytest.raises(StoppedError):
        run(callback=AtAdvance(7, press_ctrl_c, training=True), strategy=strategy)
    best = tmp_path / "run" / "best_model"
    before = weight_arrays(best)
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))  # the head and the features are lost
    with pytest.raises(StoppedError, match="Stopped before training began"):
        run(callback=AtAdvance(12, press_ctrl_c), strategy=strategy, resume=True)
    after = weight_arrays(best)
    assert all(np.array_equal(values, after[name]) for name, values in before.items())
