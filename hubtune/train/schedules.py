"""Learning-rate schedules: pure functions, number of steps made → rate of the next step.

In all of them, ``step`` is the number of steps made before (0 for the first step), ``total`` the number of
all steps, and ``rate`` the recipe's learning rate. The formulas are PaddleHub 1.x's, unless noted otherwise.
"""

import math
from dataclasses import dataclass

from hubtune.recipe import optimization
from hubtune.recipe.optimization import AnySchedule


@dataclass(frozen=True)
class RunLength:
    """Length of a run on a number of images; the last step of an epoch may have fewer than others."""

    epochs: int
    images: int
    batch_size: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.images // self.batch_size)

    @property
    def total(self) -> int:
        return self.epochs * self.steps_per_epoch

    def images_before(self, step: int) -> int:
        """Number of training images in the steps before this one."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.images + steps * self.batch_size


def rate_at(schedule: AnySchedule, step: int, length: RunLength, rate: float) -> float:
    """Return the learning rate of the step after ``step`` steps; ``rate`` is that of the recipe."""
    total = length.total
    if isinstance(schedule, optimization.SlantedTriangleSchedule):
        return slanted_triangle(step, total, rate, schedule.cut_fraction, schedule.ratio)
    if isinstance(schedule, optimization.OneCycleSchedule):
        return one_cycle(step, total, rate, schedule.rise, schedule.start_divisor, schedule.end_divisor)
    if isinstance(schedule, optimization.ExponentialWarmupSchedule):
        return exponential_warmup(step / length.steps_per_epoch, schedule, rate)
    # A float is a share of all steps.
    warm = int(total * schedule.warmup) if isinstance(schedule.warmup, float) else schedule.warmup
    if isinstance(schedule, optimization.NoamSchedule):
        return noam(step, max(1, warm), rate)
    if step < warm:
        return rate * step / warm
    match schedule:
        case optimization.ConstantSchedule():
            return rate
        case optimization.LinearSchedule():
            # As in PaddleHub, the line does not depend on where it begins: the rate drops to it there.
            if step < int(total * schedule.start_point):
                return rate
            return polynomial(step, total, rate, schedule.end, 1.0)
        case optimization.PolynomialSchedule():
            return polynomial(step, total, rate, schedule.end, schedule.power)
        case optimization.CosineSchedule():
            return cosine(step - warm, total - warm, rate, schedule.end)
        case optimization.StepSchedule():
            return rate * schedule.gamma ** (step // _in_steps(schedule.every, schedule.unit, length))
        case optimization.PiecewiseSchedule():
            # A boundary belongs to the part after it.
            part = sum(step >= _in_steps(each, schedule.unit, length) for each in schedule.boundaries)
            return rate * schedule.factors[part]
        case optimization.ExponentialSchedule():
            # After n images rate·a^⌊n/b⌋, the PaddlePaddle book's ``discexp``.
            return rate * schedule.a ** (length.images_before(step) // schedule.b)


def polynomial(step: int, total: int, rate: float, end: float, power: float) -> float:
    """Fall to ``end`` as (rate − end)(1 − s/T)^power + end."""
    return (rate - end) * max(0.0, 1.0 - step / total) ** power + end


def cosine(step: float, total: float, rate: float, end: float) -> float:
    """Fall to ``end`` along half a cosine (Loshchilov and Hutter, "SGDR", 2017, without restarts)."""
    return end + (rate - end) * (1 + math.cos(math.pi * step / total)) / 2


def exponential_warmup(epoch: float, schedule: optimization.ExponentialWarmupSchedule, rate: float) -> float:
    """Rise linearly over the warmup, then fall as rate·decay_rate^⌊(e − warmup)/decay_epochs⌋.

    ``epoch`` is e, the number of epochs made, with its fraction. PaddleClas' ``exponential_decay_warmup``,
    with which EfficientNet and MobileNetV3 were trained.
    """
    if epoch < schedule.warmup_epochs:
        return rate * epoch / schedule.warmup_epochs
    # Rounded, as a multiple of 2.4 epochs may come out a little too small.
    past = math.floor(round((epoch - schedule.warmup_epochs) / schedule.decay_epochs, 9))
    return float(rate * schedule.decay_rate**past)


def noam(step: int, warm: int, rate: float) -> float:
    """Rise linearly to ``rate`` at step w, and fall as 1/√s (Vaswani et al., 2017).

    d^−½ · min(s^−½, s·w^−1.5) with s counted from 1, and with d = 1/(w·rate²), as PaddleHub sets it.
    """
    count = step + 1
    return rate * math.sqrt(warm) * min(count**-0.5, count * warm**-1.5)


def slanted_triangle(step: int, total: int, rate: float, cut_fraction: float, ratio: float) -> float:
    """Rise from rate/ratio to ``rate`` in the first part of the steps, then fall (Howard and Ruder, 2018).

    cut = ⌊T·cut_fraction⌋; p = s/cut before it, 1 − (s − cut)/(T − cut) after; rate·(1 + p(ratio − 1))/ratio.
    """
    cut = int(total * cut_fraction)
    share = step / cut if step < cut else 1 - (step - cut) / (total - cut)
    return rate * (1 + share * (ratio - 1)) / ratio


def one_cycle(
    step: int, total: int, rate: float, rise: float, start_divisor: float, end_divisor: float
) -> float:
    """Rise from rate/start_divisor to ``rate``, and fall to rate/(start_divisor·end_divisor), along cosines.

    Smith, "A disciplined approach to neural network hyper-parameters", 2018, with the cosines of fastai.
    """
    first, last = rate / start_divisor, rate / start_divisor / end_divisor
    top = rise * total
    if step < top:
        return cosine(step, top, first, rate)
    return cosine(step - top, total - top, rate, last)


def _in_steps(count: int, unit: str, length: RunLength) -> int:
    return count * length.steps_per_epoch if unit == "epochs" else count
