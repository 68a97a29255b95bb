"""Schedules, optimizers and losses by name, and what contradicts itself."""

import pytest
from pydantic import TypeAdapter, ValidationError

from hubtune.recipe.optimization import Loss, LossSettings, PiecewiseSchedule, Schedule, expand_name


def test_a_name_alone_is_short_for_settings():
    assert TypeAdapter(Loss).validate_python("focal") == LossSettings(name="focal")
    schedule = TypeAdapter(Schedule).validate_python({"name": "step", "every": 5})
    assert (schedule.every, schedule.unit, schedule.gamma) == (5, "epochs", 0.1)
    assert expand_name(schedule) is schedule


@pytest.mark.parametrize(
    ("boundaries", "factors", "message"),
    [
        ([3, 3], [1.0, 0.5, 0.1], "boundaries must increase"),
        ([3], [1.0], "1 boundaries make 2 parts, but there are 1 factors"),
    ],
)
def test_parts_must_fit_together(boundaries, factors, message):
    with pytest.raises(ValidationError, match=message):
        PiecewiseSchedule(boundaries=boundaries, factors=factors)
