"""After `frozen`, the cost of more training is estimated with little measuring."""

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, tiny_task

import hubtune
from hubtune.hardware import throughput
from hubtune.inference.frozen_backbone import Timing
from hubtune.runs.callbacks import Callback
from hubtune.tuning import cost
from hubtune.tuning.cost import estimate_costs

LONG = 1e9  # seconds of a run, beside which any measuring is short


@pytest.fixture
def finished(tmp_path):
    data = draw_split(tmp_path / "data", {"a": 18, "b": 18}, validate=3, test=3)
    options = {"strategy": "frozen", "epochs": 3, "learning_rate": None, "engine": "paddle"}
    task = tiny_task(smallnet(), data, tmp_path / "run", **options)
    return task, task.finetune_and_eval(callback=Callback())


def _seconds(found):
    return {estimate.strategy: estimate.seconds for estimate in found}


def test_both_strategies_have_a_time_and_the_second_time_nothing_is_measured(finished, monkeypatch):
    task, run = finished
    found = estimate_costs(task, run, LONG)
    before = _seconds(found)
    assert list(before) == ["last_stage", "default_finetune"]
    assert all(seconds > cost._START_SECONDS for seconds in before.values())
    monkeypatch.setattr(throughput, "_time_step", None)
    assert estimate_costs(task, run, 0.0) == found
    config = hubtune.RunConfig(**{**dict(task.config), "epochs": 30})
    longer = hubtune.ImageClassifierTask(task.module, task.dataset, config)
    after = _seconds(estimate_costs(longer, run, LONG))
    assert all(after[name] > before[name] for name in before)


def test_no_time_is_given_if_measuring_would_take_long_beside_the_run(finished, monkeypatch):
    monkeypatch.setattr(throughput, "_time_step", None)
    monkeypatch.setattr(cost, "recall_timing", lambda *_: Timing(0.1, 0.0))
    assert _seconds(estimate_costs(*finished, 10.0)) == {"default_finetune": None}


@pytest.mark.parametrize("limit", ["0", "10kB"])
def test_last_stage_is_not_offered_without_room_in_the_cache(finished, monkeypatch, limit):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", limit)
    assert list(_seconds(estimate_costs(*finished, LONG))) == ["default_finetune"]
