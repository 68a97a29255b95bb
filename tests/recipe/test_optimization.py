"""Names are short for settings, and a schedule's parts fit together."""

import pytest
from pydantic import TypeAdapter, ValidationError

from hubtune.recipe.optimization import Loss, LossSettings, Schedule

SCHEDULE = TypeAdapter(Schedule).validate_python


def test_a_name_alone_is_short_for_settings_and_parts_must_fit_together():
    assert TypeAdapter(Loss).validate_python("focal") == LossSettings(name="focal")
    schedule = SCHEDULE({"name": "step", "every": 5})
    assert (schedule.every, schedule.unit, schedule.gamma) == (5, "epochs", 0.1)
    for boundaries, factors, message in (
        ([3, 3], [1.0, 0.5, 0.1], "boundaries must increase"),
        ([3], [1.0], "1 boundaries make 2 parts, but there are 1 factors"),
    ):
        with pytest.raises(ValidationError, match=message):
            SCHEDULE({"name": "piecewise", "boundaries": boundaries, "factors": factors})
