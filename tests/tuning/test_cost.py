"""What more training would cost is said where it can be used, and costs next to nothing to say."""

import pytest

import hubtune
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.hardware import throughput
from hubtune.inference.frozen_backbone import Timing
from hubtune.runs.callbacks import Callback
from hubtune.tuning import cost as module_of_offers
from hubtune.tuning.cost import estimate_costs


@pytest.fixture
def finished(tmp_path, draw_photos):
    """A run of `frozen`, which has just ended."""
    pics = draw_photos(tmp_path / "data" / "pics", {"a": 18, "b": 18}, size=40)
    split = make_split(scan_classes(pics), SplitRequest(validate=SplitSize(3), test=SplitSize(3)))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    config = hubtune.RunConfig(
        checkpoint_dir=tmp_path / "run", strategy=hubtune.FrozenStrategy(), num_epoch=3
    )
    dataset = hubtune.ListDataset(pics.parent)
    task = hubtune.ImageClassifierTask(hubtune.Module("smallnet", None), dataset, config)
    return task, task.finetune_and_eval(observer=Callback())


def _seconds(found):
    return {offer.strategy: offer.seconds for offer in found}


def test_both_strategies_are_offered_with_a_time(finished):
    found = _seconds(estimate_costs(*finished, 10.0))
    assert list(found) == ["last_stage", "default_finetune"]
    assert all(seconds > module_of_offers._START_SECONDS for seconds in found.values())


def test_the_second_time_nothing_is_measured(finished, monkeypatch):
    found = estimate_costs(*finished, 10.0)
    monkeypatch.setattr(throughput, "_time_step", None)
    assert estimate_costs(*finished, 0.0) == found


def test_where_measuring_would_take_long_beside_the_run_no_time_is_said(finished, monkeypatch):
    monkeypatch.setattr(throughput, "_time_step", None)
    monkeypatch.setattr(module_of_offers, "recall_timing", lambda *_: Timing(0.1, 0.0))
    assert _seconds(estimate_costs(*finished, 10.0)) == {"default_finetune": None}


@pytest.mark.parametrize("limit", ["0", "10kB"])
def test_last_stage_is_not_offered_where_the_cache_has_no_room(finished, monkeypatch, limit):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", limit)
    assert list(_seconds(estimate_costs(*finished, 10.0))) == ["default_finetune"]


def test_last_stage_is_not_offered_where_the_cache_cannot_be_written(finished, monkeypatch):
    monkeypatch.setattr(module_of_offers, "is_writable", lambda cache: False)
    assert list(_seconds(estimate_costs(*finished, 10.0))) == ["default_finetune"]


def test_more_pictures_and_epochs_cost_more(finished):
    task, run = finished
    before = _seconds(estimate_costs(task, run, 10.0))
    longer = hubtune.RunConfig(**{**dict(task.config), "epochs": 30})
    after = _seconds(
        estimate_costs(hubtune.ImageClassifierTask(task.module, task.dataset, longer), run, 10.0)
    )
    assert all(after[name] > before[name] for name in before)
