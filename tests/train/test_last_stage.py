"""Strategies that begin where `frozen` ends: `last_stage`, on activations, and `from_frozen`, on pictures."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import hubtune
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import MachineError, StoppedError, UsageError
from hubtune.inference.engine import _OpenVINO
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.space import Space
from hubtune.runs.callbacks import Callback
from hubtune.train import from_frozen
from hubtune.train.head_solver import HeadSolver

OPTIONS = {"num_epoch": 3, "batch_size": 8, "learning_rate": 3e-3}


@pytest.fixture
def data(tmp_path):
    """Three classes that differ so little in brightness that not every picture is named right."""
    random = np.random.default_rng(0)
    for shift, name in enumerate("abc"):
        folder = tmp_path / "data" / "pics" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(60, 190, (32, 48, 3)) + 8 * shift
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return _split(tmp_path / "data" / "pics", 6)


@pytest.fixture(scope="module")
def module():
    return hubtune.Module("digitnet")


def _split(pics, validate):
    split = make_split(scan_classes(pics), SplitRequest(validate=SplitSize(validate), test=SplitSize(4)))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    return pics.parent


def _run(module, data, folder, *, strategy=None, observer=None, resume=False, **options):
    config = hubtune.RunConfig(
        strategy=strategy or hubtune.LastStageStrategy(), checkpoint_dir=folder, **{**OPTIONS, **options}
    )
    task = hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), config)
    return task.finetune_and_eval(observer=observer or Callback(), resume=resume)


def _weights(run):
    return load_file(run.best_model / "model.safetensors")


class _Noticing(Callback):
    def __init__(self):
        self.notices = []

    def notice(self, text):
        self.notices.append(text)


class _Impatient(Callback):
    """Presses Ctrl-C in the middle of training."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, images, *, loss=None, accuracy=None):
        if loss is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def better(monkeypatch):
    """Let every evaluation be better than the one before, so that what was trained is kept."""
    from hubtune.train import evaluator

    accuracies = iter(np.linspace(0.05, 0.95, 10))
    measure = evaluator.measure

    def flattered(scores, labels):
        metrics = measure(scores, labels)
        return type(metrics)(**{**vars(metrics), "accuracy": next(accuracies)})

    monkeypatch.setattr(evaluator, "measure", flattered)


def test_it_is_never_worse_than_frozen_on_the_validation_list(module, data, tmp_path):
    frozen = _run(module, data, tmp_path / "frozen", strategy=hubtune.FrozenStrategy())
    trained = _run(module, data, tmp_path / "last")
    assert trained.validate.accuracy >= frozen.validate.accuracy
    assert trained.views == frozen.views


def test_where_training_does_not_help_the_model_is_that_of_frozen_and_it_says_so(module, data, tmp_path):
    frozen = _run(module, data, tmp_path / "frozen", strategy=hubtune.FrozenStrategy())
    observer = _Noticing()
    trained = _run(module, data, tmp_path / "last", learning_rate=1e-9, observer=observer)
    assert trained.best_step == 0
    assert any("did not help on the validation list" in notice for notice in observer.notices)
    assert trained.test.accuracy == frozen.test.accuracy
    for name, values in _weights(frozen).items():
        assert (_weights(trained)[name] == values).all()


def test_better_by_less_than_a_standard_error_is_not_better(module, data, tmp_path, monkeypatch):
    from hubtune.train import evaluator

    accuracies = iter([0.5, 0.6, 0.61, 0.6, 0.5])  # of 18 pictures: the standard error is 0.118
    measure = evaluator.measure

    def told(scores, labels):
        metrics = measure(scores, labels)
        return type(metrics)(**{**vars(metrics), "accuracy": next(accuracies)})

    monkeypatch.setattr(evaluator, "measure", told)
    observer = _Noticing()
    run = _run(module, data, tmp_path / "run", observer=observer)
    assert run.best_step == 0
    assert run.validate.accuracy == 0.5
    assert any("by more than chance" in notice for notice in observer.notices)


def test_what_comes_before_the_last_stage_stays_as_it_is(module, data, tmp_path, better):
    run = _run(module, data, tmp_path / "run")
    assert run.best_step > 0
    before, after = module.network.state_dict(), _weights(run)
    changed = {
        name.removeprefix("backbone.").split(".")[0]
        for name, values in after.items()
        if name.startswith("backbone.")
        and not np.array_equal(values, before[name.removeprefix("backbone.")].numpy())
    }
    last = {
        name.split(".")[0]
        for name, tensor in module.network.named_parameters()
        if any(tensor is own for own in module.stages[-2].parameters())
    }
    assert changed
    assert changed <= last


def test_the_model_says_from_pixels_what_the_run_reported(module, data, tmp_path):
    run = _run(module, data, tmp_path / "run")
    for name, reported in (("validate", run.validate), ("test", run.test)):
        found = hubtune.load_model(run.path, engine="paddle").evaluate(hubtune.ListDataset(data), name)
        assert found.accuracy == reported.accuracy
        # Activations are kept in half precision.
        assert found.loss == pytest.approx(reported.loss, abs=1e-2)


@pytest.mark.slow
def test_activations_from_the_cache_train_the_same_weights_as_computed_ones(
    module, data, tmp_path, better, monkeypatch
):
    kept = _run(module, data, tmp_path / "kept")
    monkeypatch.setattr(Space, "get", lambda self, key: None)
    computed = _run(module, data, tmp_path / "computed")
    for name, values in _weights(kept).items():
        assert (_weights(computed)[name] == values).all()


@pytest.mark.slow
def test_half_precision_costs_no_accuracy(module, data, tmp_path, monkeypatch):
    half = _run(module, data, tmp_path / "half")
    made = FrozenBackbone.__init__

    def full(self, *args, half=False, **options):
        made(self, *args, half=False, **options)

    monkeypatch.setattr(FrozenBackbone, "__init__", full)
    exact = _run(module, data, tmp_path / "exact")
    assert abs(half.test.accuracy - exact.test.accuracy) <= 1 / half.test.count
    assert abs(half.validate.accuracy - exact.validate.accuracy) <= 1 / half.validate.count


def test_no_activation_is_computed_twice(module, data, tmp_path, monkeypatch):
    _run(module, data, tmp_path / "first")
    seen = []
    begin = _OpenVINO.begin
    monkeypatch.setattr(
        _OpenVINO, "begin", lambda self, arrays: (seen.append(len(arrays)), begin(self, arrays))[1]
    )
    again = _run(module, data, tmp_path / "again")
    # What is left is the test at the end, from pixels, and the check of the two engines on a picture each.
    assert sum(seen) == len(again.views) * again.test.count + 2


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_resumed_run_ends_with_the_same_weights(module, data, tmp_path, steps):
    whole = _run(module, data, tmp_path / "whole")
    with pytest.raises(StoppedError):
        _run(module, data, tmp_path / "run", observer=_Impatient(steps))
    resumed = _run(module, data, tmp_path / "run", resume=True)
    assert resumed.best_step == whole.best_step
    for name, values in _weights(whole).items():
        assert (_weights(resumed)[name] == values).all()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert lines == (tmp_path / "whole" / "metrics.jsonl").read_text()


@pytest.mark.parametrize("limit", ["0", "50kB"])
def test_activations_that_the_cache_has_no_room_for_are_refused_before_anything_is_solved(
    module, data, tmp_path, monkeypatch, limit
):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", limit)
    monkeypatch.setattr(HeadSolver, "solve", None)
    with pytest.raises(
        MachineError, match=r"least \d\.\d MB, .* of 48 .*may take 0\.\d MB: .*CACHE_SIZE=1GB, or"
    ):
        _run(module, data, tmp_path / "run")
    assert not (tmp_path / "run" / "best_model").exists()


def test_a_cache_that_cannot_be_written_is_refused_before_anything_is_solved(
    module, data, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(HeadSolver, "solve", None)
    with pytest.raises(
        MachineError, match=r"the cache cannot be written .*: set HUBTUNE_HOME to another folder"
    ):
        _run(module, data, tmp_path / "run")


def test_where_only_the_chosen_views_are_too_large_the_model_of_frozen_is_named(
    module, data, tmp_path, monkeypatch
):
    settings = {"views": 2}
    run = _run(module, data, tmp_path / "first", strategy=hubtune.LastStageStrategy(**settings))
    assert len(run.views) == 2
    [one] = [
        entry.bytes for entry in FeatureCache().kept() if "before" in entry.description.get("layer", "")
    ][:1]
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", str(round(1.6 * one)))
    with pytest.raises(MachineError, match=r"about .* in 2 views.*, or take the model of .*best_model$"):
        _run(module, data, tmp_path / "run", strategy=hubtune.LastStageStrategy(**settings))
    assert (tmp_path / "run" / "best_model").exists()


def test_what_frozen_has_solved_is_not_solved_again(module, data, tmp_path, monkeypatch, told):
    _run(module, data, tmp_path / "frozen", strategy=hubtune.FrozenStrategy())
    monkeypatch.setattr(HeadSolver, "_search", None)
    _run(module, data, tmp_path / "run")
    assert any("computes the activations: about " in message for message in told.messages)


def test_a_validation_list_is_needed(module, data, tmp_path):
    (data / "validate_list.txt").unlink()
    with pytest.raises(UsageError, match="Strategy last_stage needs a validation list"):
        _run(module, data, tmp_path / "run")


def test_hidden_units_do_not_go_with_it(module, data, tmp_path):
    with pytest.raises(UsageError, match="Strategy last_stage solves a linear head"):
        _run(module, data, tmp_path / "run", hidden_units=[8])


def _from_frozen(module, data, folder, **options):
    strategy = hubtune.FromFrozenStrategy(**options.pop("settings", {}))
    return _run(module, data, folder, strategy=strategy, **{"learning_rate": 1e-3, **options})


def test_from_frozen_keeps_frozens_model_where_training_does_not_help_and_says_so(module, data, tmp_path):
    frozen = _run(module, data, tmp_path / "frozen", strategy=hubtune.FrozenStrategy())
    observer = _Noticing()
    trained = _from_frozen(module, data, tmp_path / "run", learning_rate=1e-9, observer=observer)
    assert trained.best_step == 0
    assert any("Training all parameters did not help" in notice for notice in observer.notices)
    for name, values in _weights(frozen).items():
        assert (_weights(trained)[name] == values).all()


def test_from_frozen_trains_the_trunk_and_keeps_the_views(module, data, tmp_path, better):
    trained = _from_frozen(module, data, tmp_path / "run")
    assert trained.best_step > 0
    frozen = _run(module, data, tmp_path / "frozen", strategy=hubtune.FrozenStrategy())
    assert trained.views == frozen.views
    moved = [
        name
        for name, values in _weights(trained).items()
        if not np.array_equal(values, _weights(frozen)[name])
    ]
    assert any(not name.startswith("head.") for name in moved)
    model = hubtune.load_model(trained.path)
    assert [view.description for view in model.card.views] == trained.views


def test_from_frozen_stopped_ends_as_one_that_was_not(module, data, tmp_path, better):
    options = {"augment": "flip", "settings": {"views": 2}}
    whole = _from_frozen(module, data, tmp_path / "whole", **options)
    with pytest.raises(StoppedError):
        _from_frozen(module, data, tmp_path / "stopped", observer=_Impatient(7), **options)
    resumed = _from_frozen(module, data, tmp_path / "stopped", resume=True, **options)
    assert resumed.best_step == whole.best_step
    for name, values in _weights(whole).items():
        assert (_weights(resumed)[name] == values).all(), name


def test_from_frozen_with_a_mirrored_view_sees_pictures_both_ways(module, data, tmp_path, monkeypatch):
    seen = {}
    whole_network = from_frozen.whole_network

    def noted(*arguments):
        part = whole_network(*arguments)

        def prepare(epoch, index):
            array = part.prepare(epoch, index)
            seen.setdefault(index, []).append(array)
            return array

        return replace(part, prepare=prepare)

    monkeypatch.setattr(from_frozen, "whole_network", noted)
    _from_frozen(module, data, tmp_path / "run", num_epoch=8, settings={"views": 2})
    first, *others = seen[0]
    mirrored = [np.array_equal(other, first[:, :, ::-1]) for other in others]
    assert 0 < sum(mirrored) < len(others)
    assert all(same or np.array_equal(other, first) for same, other in zip(mirrored, others, strict=True))


def test_from_frozen_needs_a_validation_list(module, data, tmp_path):
    (data / "validate_list.txt").unlink()
    with pytest.raises(UsageError, match="Strategy from_frozen needs a validation list"):
        _from_frozen(module, data, tmp_path / "run")
