"""Strategy `last_stage`: starts where `frozen` ends, and trains on activations from the cache."""

import numpy as np
import pytest
from support.callbacks import AtAdvance, Recorder, press_ctrl_c
from support.tiny_task import train_frozen, weight_arrays

import hubtune
from hubtune.errors import MachineError, StoppedError
from hubtune.inference.engine import _OpenVINO
from hubtune.inference.feature_cache import FeatureCache, Space
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.train.head_solver import HeadSolver

MODULE, DEFAULTS = "digitnet", {"strategy": "last_stage", "epochs": 3}
FAINT = {"each": 20, "validate": 6, "difference": 8}
NO_ROOM = r"least \d\.\d MB, .* of 48 .*may take 0\.\d MB: .*CACHE_SIZE=1GB, or"


@pytest.fixture
def frozen(module, data, tmp_path):
    """A run of ``frozen`` on the same data."""
    return train_frozen(module, data, tmp_path / "frozen")


def assert_same_weights(one, other):
    expected = weight_arrays(other.best_model)
    for name, values in weight_arrays(one.best_model).items():
        assert np.array_equal(expected[name], values), name


def test_it_is_never_worse_than_frozen_and_computes_no_activation_twice(run, frozen, data, count_images):
    trained = run("first")
    assert trained.validate.accuracy >= frozen.validate.accuracy
    assert trained.views == frozen.views
    model = hubtune.load_model(trained.path, engine="paddle")
    for name, reported in (("validate", trained.validate), ("test", trained.test)):
        metrics = model.evaluate(hubtune.ListDataset(data), name)
        assert metrics.accuracy == reported.accuracy
        # Activations are kept in half precision.
        assert metrics.loss == pytest.approx(reported.loss, abs=1e-2)
    computed = count_images(_OpenVINO)
    again = run("again")
    # What is left is the test at the end, from pixels, and the check of the two engines on an image each.
    assert sum(computed) == len(again.views) * again.test.count + 2


def test_the_model_of_frozen_stays_if_training_does_not_help(run, frozen):
    recorder = Recorder()
    trained = run(learning_rate=1e-9, callback=recorder)
    assert trained.best_step == 0
    assert any("did not help on the validation list" in notice for notice in recorder.notices)
    assert trained.test.accuracy == frozen.test.accuracy
    assert_same_weights(trained, frozen)


def test_an_improvement_below_a_standard_error_does_not_count(run, invent_accuracies):
    invent_accuracies([0.5, 0.6, 0.61, 0.6, 0.5])  # of 18 images: the standard error is 0.118
    recorder = Recorder()
    trained = run(callback=recorder)
    assert (trained.best_step, trained.validate.accuracy) == (0, 0.5)
    assert any("by more than chance" in notice for notice in recorder.notices)


@pytest.mark.usefixtures("ever_better")
def test_stages_before_the_last_one_stay_as_they_are(run, module):
    trained = run()
    assert trained.best_step > 0
    before = {f"backbone.{name}": tensor.numpy() for name, tensor in module.network.state_dict().items()}
    changed = {
        name.split(".")[1]
        for name, values in weight_arrays(trained.best_model).items()
        if name in before and not np.array_equal(values, before[name])
    }
    own = {id(tensor) for tensor in module.stages[-2].parameters()}
    last = {name.split(".")[0] for name, tensor in module.network.named_parameters() if id(tensor) in own}
    assert changed
    assert changed <= last


@pytest.mark.slow
@pytest.mark.usefixtures("ever_better")
def test_activations_from_the_cache_train_the_same_weights_as_computed_ones(run, monkeypatch):
    cached = run("cached")
    monkeypatch.setattr(Space, "get", lambda self, key: None)
    assert_same_weights(run("computed"), cached)


@pytest.mark.slow
def test_half_precision_costs_no_accuracy(run, monkeypatch):
    half, made = run("half"), FrozenBackbone.__init__
    monkeypatch.setattr(
        FrozenBackbone,
        "__init__",
        lambda self, *args, **options: made(self, *args, **options | {"half": False}),
    )
    exact = run("exact")
    assert abs(half.test.accuracy - exact.test.accuracy) <= 1 / half.test.count
    assert abs(half.validate.accuracy - exact.validate.accuracy) <= 1 / half.validate.count


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_resumed_run_ends_with_the_same_weights(run, steps):
    whole = run("whole")
    with pytest.raises(StoppedError):
        run(callback=AtAdvance(steps, press_ctrl_c, training=True))
    resumed = run(resume=True)
    assert resumed.best_step == whole.best_step
    assert_same_weights(resumed, whole)
    assert (resumed.path / "metrics.jsonl").read_text() == (whole.path / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HUBTUNE_CACHE_SIZE", "0", NO_ROOM),
        ("HUBTUNE_CACHE_SIZE", "50kB", NO_ROOM),
        ("HUBTUNE_HOME", "file/home", "the cache cannot be written .*: set HUBTUNE_HOME to another folder"),
    ],
)
def test_activations_without_room_in_the_cache_are_refused_before_anything_is_solved(
    run, tmp_path, monkeypatch, variable, value, message
):
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, value.replace("file", str(tmp_path / "file")))
    monkeypatch.setattr(HeadSolver, "solve", None)
    with pytest.raises(MachineError, match=message):
        run()
    assert not (tmp_path / "run" / "best_model").exists()


def test_if_only_the_chosen_views_are_too_large_frozens_model_is_named(run, tmp_path, monkeypatch):
    assert len(run("first", settings={"views": 2}).views) == 2
    spaces = FeatureCache().spaces()
    size = next(each.bytes for each in spaces if "before" in each.description.get("layer", ""))
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", str(round(1.6 * size)))
    with pytest.raises(MachineError, match=r"about .* in 2 views.*, or take the model of .*best_model$"):
        run(settings={"views": 2})
    assert (tmp_path / "run" / "best_model").exists()


@pytest.mark.usefixtures("frozen")
def test_a_head_that_frozen_solved_is_not_solved_again(run, monkeypatch, told):
    monkeypatch.setattr(HeadSolver, "_search", None)
    run()
    assert any("computes the activations: about " in message for message in told.messages)
