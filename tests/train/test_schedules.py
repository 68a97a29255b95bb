"""Rates are those of the written formulas; the tables here are computed without hubtune's code."""

import math

import pytest
from pydantic import TypeAdapter

from hubtune.recipe.optimization import AnySchedule, expand_name
from hubtune.train.schedules import RunLength, rate_at

RATE = 0.02
# 5 epochs of 25 pictures in batches of 4: 7 steps an epoch, the last of one picture.
SPAN = RunLength(epochs=5, images=25, batch_size=4)
TOTAL = 35


def _rates(schedule):
    settings = TypeAdapter(AnySchedule).validate_python(expand_name(schedule))
    return [rate_at(settings, step, SPAN, RATE) for step in range(TOTAL)]


def _triangle(cut, ratio):
    shares = [s / cut if s < cut else 1 - (s - cut) / (TOTAL - cut) for s in range(TOTAL)]
    return [RATE * (1 + share * (ratio - 1)) / ratio for share in shares]


def _between(first, last, share):
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _table(rate):
    return [rate(s) for s in range(TOTAL)]


TABLES = {
    "constant": ("constant", [RATE] * TOTAL),
    "warmup by share": ({"name": "constant", "warmup": 0.2}, _table(lambda s: RATE * min(1, s / 7))),
    "warmup by steps": (
        {"name": "linear", "warmup": 3},
        _table(lambda s: RATE * s / 3 if s < 3 else RATE * (1 - s / TOTAL)),
    ),
    "linear": ("linear", _table(lambda s: RATE - RATE * s / TOTAL)),
    "linear from a point": (
        {"name": "linear", "start_point": 0.5, "end": 0.001},
        _table(lambda s: RATE if s < 17 else (RATE - 0.001) * (1 - s / TOTAL) + 0.001),
    ),
    "polynomial": (
        {"name": "polynomial", "power": 2, "end": 0.001},
        _table(lambda s: (RATE - 0.001) * (1 - s / TOTAL) ** 2 + 0.001),
    ),
    "cosine": ("cosine", _table(lambda s: RATE * (1 + math.cos(math.pi * s / TOTAL)) / 2)),
    "cosine after a warmup": (
        {"name": "cosine", "warmup": 0.2, "end": 0.001},
        _table(lambda s: RATE * s / 7 if s < 7 else _between(RATE, 0.001, (s - 7) / 28)),
    ),
    # d = 1/(w·rate²), so that the peak, at s = w, is the rate; s counts from 1.
    "noam": (
        {"name": "noam", "warmup": 5},
        _table(lambda s: (1 / (5 * RATE**2)) ** -0.5 * min((s + 1) ** -0.5, (s + 1) * 5**-1.5)),
    ),
    "slanted triangle": ("slanted_triangle", _triangle(3, 32)),
    "slanted triangle without a rise": (
        {"name": "slanted_triangle", "cut_fraction": 0.0, "ratio": 8},
        _triangle(0, 8),
    ),
    "step by epochs": ({"name": "step", "every": 2, "gamma": 0.5}, _table(lambda s: RATE * 0.5 ** (s // 14))),
    "step by steps": (
        {"name": "step", "every": 10, "unit": "steps"},
        _table(lambda s: RATE * 0.1 ** (s // 10)),
    ),
    "piecewise": (
        {"name": "piecewise", "boundaries": [1, 3], "factors": [1, 0.1, 0.01]},
        [RATE] * 7 + [RATE * 0.1] * 14 + [RATE * 0.01] * 14,
    ),
    # The last batch of an epoch has one picture, not four.
    "exponential": (
        {"name": "exponential", "a": 0.5, "b": 30},
        _table(lambda s: RATE * 0.5 ** ((25 * (s // 7) + 4 * (s % 7)) // 30)),
    ),
    "one cycle": (
        {"name": "one_cycle", "rise": 0.2},
        _table(
            lambda s: _between(RATE / 25, RATE, s / 7) if s < 7 else _between(RATE, RATE / 25e4, (s - 7) / 28)
        ),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_rates_follow_the_formula(name):
    schedule, expected = TABLES[name]
    assert _rates(schedule) == pytest.approx(expected, rel=1e-12)


def test_a_run_of_one_step_has_a_rate_with_every_schedule():
    length = RunLength(epochs=1, images=3, batch_size=8)
    for schedule, _ in TABLES.values():
        settings = TypeAdapter(AnySchedule).validate_python(expand_name(schedule))
        assert 0 <= rate_at(settings, 0, length, RATE) <= RATE


def test_settings_that_make_no_sense_are_refused():
    for schedule, message in (
        ({"name": "slanted_triangle", "warmup": 0.1}, "warmup"),
        ({"name": "cosin"}, "cosin"),
    ):
        with pytest.raises(ValueError, match=message):
            TypeAdapter(AnySchedule).validate_python(schedule)
