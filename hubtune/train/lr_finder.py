"""Learning-rate range test: a few steps at each of several rates show which one suits a network.

After Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, who raises the rate from step to
step. Here each rate starts from the same weights and sees the same images: only rates are compared, not
batches or earlier progress.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from hubtune.report.plots import draw_plot
from hubtune.train.batches import TrainBatch
from hubtune.train.step import TrainStep

RATES = tuple(float(f"{10 ** (number / 2):.2g}") for number in range(-10, -1))
"""Rates from 1e-5 to 0.1, each about three times the one before."""

STEPS = 12
"""Steps at each rate."""

_WORSE = 2  # rates in a row after the best one, after which higher ones are not tried


@dataclass(frozen=True)
class RangeTest:
    """Result of a range test.

    Attributes:
        rates: the rates that were tried, ascending.
        losses: mean loss of the second half of the steps at each rate; infinite if it diverged.
        chosen: the rate with the lowest loss.
    """

    rates: list[float]
    losses: list[float]
    chosen: float

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON, which has no infinity."""
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return {"rates": self.rates, "losses": losses, "chosen": self.chosen}


def find_learning_rate(
    make_step: Callable[[], TrainStep], batches: Sequence[TrainBatch], advance: Callable[[int], None]
) -> RangeTest:
    """Train on the batches at each rate, and restore the network after each, bit for bit.

    ``make_step`` builds a step with a new optimizer; ``advance`` gets the images of each, and may raise.
    """
    losses: list[float] = []
    for rate in RATES:
        step = make_step()
        before = {name: tensor.numpy().copy() for name, tensor in step.classifier.training_state().items()}
        try:
            step.start(10**9)  # parameters that are frozen for a while only are trained, too
            paddle.seed(0)  # the same dropout for each rate
            values = []
            for number, batch in enumerate(batches):
                result = step.compute_gradients(batch, number)
                if not result.count:
                    continue
                values.append(result.loss)
                if not math.isfinite(result.loss):
                    break
                step.optimizer.apply(rate)
                advance(result.count)
        finally:
            step.classifier.clear_gradients()
            for name, tensor in step.classifier.training_state().items():
                tensor.set_value(before[name])
        mean = float(np.mean(values[len(values) // 2 :])) if values else math.inf
        losses.append(mean if math.isfinite(mean) else math.inf)
        if len(losses) - 1 - int(np.argmin(losses)) >= _WORSE:
            break
    rates = [*RATES[: len(losses)]]
    return RangeTest(rates, losses, rates[int(np.argmin(losses))])


def draw_range_test(test: RangeTest) -> bytes:
    def fill(axes: Any) -> None:
        axes.plot(test.rates, test.losses, marker="o")
        axes.axvline(test.chosen, color="tab:orange", label=f"taken: {test.chosen:g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel=f"loss after {STEPS} steps")

    return draw_plot(fill, size=(7, 4))
