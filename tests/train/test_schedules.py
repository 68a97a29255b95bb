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


def _settings(schedule):
    return TypeAdapter(AnySchedule).validate_python(expand_name(schedule))


def _triangle(s, cut, ratio):
    share = s / cut if s < cut else 1 - (s - cut) / (TOTAL - cut)
    return RATE * (1 + share * (ratio - 1)) / ratio


def _between(first, last, share):
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _line(s, end=0.0, power=1):
    return (RATE - end) * (1 - s / TOTAL) ** power + end


# Schedule, and its rate after s steps.
TABLE = [
    ("constant", lambda s: RATE),
    ({"name": "constant", "warmup": 0.2}, lambda s: RATE * min(1, s / 7)),
    ("linear", _line),
    ({"name": "linear", "warmup": 3}, lambda s: RATE * s / 3 if s < 3 else _line(s)),
    ({"name": "linear", "start_point": 0.5, "end": 0.001}, lambda s: RATE if s < 17 else _line(s, 0.001)),
    ({"name": "polynomial", "power": 2, "end": 0.001}, lambda s: _line(s, 0.001, 2)),
    ("cosine", lambda s: _between(RATE, 0, s / TOTAL)),
    (
        {"name": "cosine", "warmup": 0.2, "end": 0.001},
        lambda s: RATE * s / 7 if s < 7 else _between(RATE, 0.001, (s - 7) / 28),
    ),
    # d = 1/(w·rate²), so that the peak, at s = w, is the rate; s counts from 1.
    (
        {"name": "noam", "warmup": 5},
        lambda s: (1 / (5 * RATE**2)) ** -0.5 * min((s + 1) ** -0.5, (s + 1) * 5**-1.5),
    ),
    ("slanted_triangle", lambda s: _triangle(s, 3, 32)),
    ({"name": "slanted_triangle", "cut_fraction": 0.0, "ratio": 8}, lambda s: _triangle(s, 0, 8)),
    ({"name": "step", "every": 2, "gamma": 0.5}, lambda s: RATE * 0.5 ** (s // 14)),
    ({"name": "step", "every": 10, "unit": "steps"}, lambda s: RATE * 0.1 ** (s // 10)),
    (
        {"name": "piecewise", "boundaries": [1, 3], "factors": [1, 0.1, 0.01]},
        lambda s: RATE * (1 if s < 7 else 0.1 if s < 21 else 0.01),
    ),
    # The last batch of an epoch has one picture, not four.
    (
        {"name": "exponential", "a": 0.5, "b": 30},
        lambda s: RATE * 0.5 ** ((25 * (s // 7) + 4 * (s % 7)) // 30),
    ),
    (
        {"name": "exponential_decay_warmup", "warmup_epochs": 2, "decay_epochs": 1.0, "decay_rate": 0.5},
        lambda s: RATE * s / 14 if s < 14 else RATE * 0.5 ** ((s - 14) // 7),
    ),
    (
        {"name": "exponential_decay_warmup", "warmup_epochs": 0, "decay_epochs": 2.4},
        lambda s: RATE * 0.97 ** (0 if s < 17 else 1 if s < 34 else 2),  # 16.8 and 33.6 steps
    ),
    (
        {"name": "one_cycle", "rise": 0.2},
        lambda s: _between(RATE / 25, RATE, s / 7) if s < 7 else _between(RATE, RATE / 25e4, (s - 7) / 28),
    ),
]


@pytest.mark.parametrize(("schedule", "rate"), TABLE)
def test_rates_follow_the_formula(schedule, rate):
    settings = _settings(schedule)
    found = [rate_at(settings, step, SPAN, RATE) for step in range(TOTAL)]
    assert found == pytest.approx([rate(step) for step in range(TOTAL)], rel=1e-12)
    # A run of one step has a rate, too.
    assert 0 <= rate_at(settings, 0, RunLength(epochs=1, images=3, batch_size=8), RATE) <= RATE
