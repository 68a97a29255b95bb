"""PaddleHub's dictionaries become a schedule and limits on gradients."""

from hubtune.recipe.combined import CombinedClip, CombinedScheduler
from hubtune.recipe.optimization import ClipSettings, ConstantSchedule, NoamSchedule
from hubtune.recipe.optimization import SlantedTriangleSchedule as Triangle


def test_the_scheduler_becomes_one_schedule_and_a_limit_of_zero_none():
    for given, schedule in (
        ({"warmup": 0.1}, ConstantSchedule(warmup=0.1)),
        ({"noam_decay": True, "warmup": 0.1}, NoamSchedule(warmup=0.1)),
        ({"slanted_triangle": {"cut_fraction": 0.2}, "noam_decay": True}, Triangle(cut_fraction=0.2)),
    ):
        assert CombinedScheduler.model_validate(given).schedule() == schedule
    assert CombinedClip(GlobalNorm=0, Norm=2.0).clip() == ClipSettings(norm=2.0)
