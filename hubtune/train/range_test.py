"""The learning-rate range test: a few steps at rising rates show which rate a network bears.

Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
"""

import io
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import paddle

from hubtune.models.classifier import Classifier, run_by_shape
from hubtune.train.loss import Loss
from hubtune.train.update import Update

STEPS = 40
"""Steps of a whole test."""

LEAST, MOST = 1e-6, 1e-1
"""The first and the last rate."""

_SMOOTHING = 0.8
_DIVERGED = 2.0  # times the smallest loss, after which higher rates are not tried


@dataclass(frozen=True)
class RangeTest:
    """What a range test has found.

    Attributes:
        rates: that were tried, rising.
        losses: the smoothed loss after each.
        chosen: the rate to train with.
    """

    rates: list[float]
    losses: list[float]
    chosen: float


def test_range(
    classifier: Classifier,
    forward: Callable[[paddle.Tensor], paddle.Tensor],
    update: Update,
    loss: Loss,
    batches: Iterable[tuple[list[np.ndarray], np.ndarray]],
    *,
    keep_statistics: bool,
) -> RangeTest:
    """Train for a few dozen steps at rates that rise from 1e-6 to 0.1, and put everything back.

    Args:
        classifier: the network; afterwards it is to the bit what it was.
        forward: what it makes logits with.
        update: changes it; it is used up, as it remembers the steps.
        loss: what is minimised.
        batches: arrays and targets ``[N, classes]`` of training pictures, at least one batch.
        keep_statistics: as in :meth:`Classifier.start_training`.
    """
    before = {name: tensor.numpy().copy() for name, tensor in classifier.state().items()}
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    try:
        update.begin(10**9)  # nothing is frozen for a while only
        classifier.start_training(keep_statistics=keep_statistics)
        for number, (arrays, targets) in enumerate(batches):
            rate = LEAST * (MOST / LEAST) ** (number / (STEPS - 1))
            with update.precision.cast():
                logits = run_by_shape(forward, arrays)
            cost = loss(logits, targets) / len(targets)
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * float(cost)
            smoothed = mean / (1 - _SMOOTHING ** (number + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _DIVERGED * min(losses)):
                break
            rates.append(rate)
            losses.append(smoothed)
            if number + 1 == STEPS:
                break
            (cost * update.precision.scale).backward()
            update.apply(rate)
    finally:
        for name, tensor in classifier.state().items():
            tensor.set_value(before[name])
        update.begin(0)
    return RangeTest(rates, losses, choose(rates, losses))


def choose(rates: list[float], losses: list[float]) -> float:
    """The rate to train with: a third of the one at which the loss is least.

    Beyond that one the loss rises again; a little below it, training is quick and stays on the safe side.
    Where the loss never falls, the smallest rate is taken.
    """
    least = int(np.argmin(losses)) if losses else 0
    return float(f"{rates[least] / 3:.2g}") if least else LEAST


def draw_range_test(found: RangeTest) -> bytes:
    """Draw the losses against the rates, with the rate that was taken; a PNG picture."""
    import matplotlib as mpl  # here, as it takes a second

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(found.rates, found.losses)
    axes.axvline(found.chosen, color="tab:orange", label=f"taken: {found.chosen:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format="png")
    plt.close(figure)
    return content.getvalue()
