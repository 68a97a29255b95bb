"""Strategy `from_frozen`: trains all parameters from the solution of `frozen`."""

from dataclasses import replace

import numpy as np
import pytest
from support.callbacks import AtAdvance, Recorder, press_ctrl_c
from support.tiny_task import train_frozen, weight_arrays, weight_bytes

import hubtune
from hubtune.errors import StoppedError
from hubtune.train import from_frozen

MODULE, DEFAULTS = "digitnet", {"strategy": "from_frozen", "epochs": 3, "learning_rate": 1e-3}
FAINT = {"each": 20, "validate": 6, "difference": 8}


def test_the_model_of_frozen_stays_if_training_does_not_help(run, module, data, tmp_path):
    frozen, recorder = train_frozen(module, data, tmp_path / "frozen"), Recorder()
    trained = run(learning_rate=1e-9, callback=recorder)
    assert trained.best_step == 0
    assert any("Training all parameters did not help" in notice for notice in recorder.notices)
    before, after = weight_arrays(frozen.best_model), weight_arrays(trained.best_model)
    assert all(np.array_equal(values, after[name]) for name, values in before.items())


@pytest.mark.usefixtures("ever_better")
def test_the_backbone_is_trained_and_the_views_stay(run, module, data, tmp_path):
    trained, frozen = run(), train_frozen(module, data, tmp_path / "frozen")
    assert trained.best_step > 0
    before, after = weight_arrays(frozen.best_model), weight_arrays(trained.best_model)
    moved = [name for name, values in after.items() if not np.array_equal(values, before[name])]
    assert any(not name.startswith("head.") for name in moved)
    views = hubtune.load_model(trained.path).card.views
    assert [view.description for view in views] == trained.views == frozen.views


@pytest.mark.usefixtures("ever_better")
def test_a_resumed_run_ends_with_the_same_weights(run):
    options = {"augment": "flip", "settings": {"views": 2}}
    whole = run("whole", **options)
    with pytest.raises(StoppedError):
        run("stopped", callback=AtAdvance(7, press_ctrl_c, training=True), **options)
    resumed = run("stopped", resume=True, **options)
    assert resumed.best_step == whole.best_step
    assert weight_bytes(resumed) == weight_bytes(whole)


def test_with_a_mirrored_view_training_images_are_seen_both_ways(run, monkeypatch):
    seen, whole_network = [], from_frozen.whole_network

    def noted(*arguments):
        part = whole_network(*arguments)

        def prepare(epoch, index):
            array = part.prepare(epoch, index)
            if index == 0:
                seen.append(array)
            return array

        return replace(part, prepare=prepare)

    monkeypatch.setattr(from_frozen, "whole_network", noted)
    run(epochs=8, settings={"views": 2})
    first, *others = seen
    mirrored = [np.array_equal(other, first[:, :, ::-1]) for other in others]
    assert 0 < sum(mirrored) < len(others)
    assert all(same or np.array_equal(other, first) for same, other in zip(mirrored, others, strict=True))
