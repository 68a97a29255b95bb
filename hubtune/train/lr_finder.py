"""The learning-rate range test: a few steps at each of several rates show which one a network bears.

After Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, who raises the rate from step to
step. Here each rate begins with the same weights and sees the same pictures, so that rates are compared, and
not batches, nor what a network has learned before.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle

from hubtune.models.classifier import Classifier
from hubtune.report.plots import draw_plot
from hubtune.train.loop import costs
from hubtune.train.loss import Loss
from hubtune.train.optimizer import Optimizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATES = tuple(float(f"{10 ** (number / 2):.2g}") for number in range(-10, -1))
"""What is tried, 1e-5 to 0.1; each is about three times the one before."""

STEPS = 12
"""Steps at each rate."""

_WORSE = 2  # rates in a row after the best one, before higher ones are given up


@dataclass(frozen=True)
class RangeTest:
    """What a range test has found.

    Attributes:
        rates: that were tried, rising.
        losses: the mean loss of the later half of the steps at each; infinite where it was no number.
        chosen: the rate with the least of them.
    """

    rates: list[float]
    losses: list[float]
    chosen: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return {"rates": self.rates, "losses": losses, "chosen": self.chosen}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "RangeTest":
        """What :meth:`as_dict` gives."""
        losses = [math.inf if loss is None else loss for loss in found["losses"]]
        return cls(found["rates"], losses, found["chosen"])


def test_range(
    classifier: Classifier,
    forward: Callable[[paddle.Tensor], paddle.Tensor],
    make_update: Callable[[], Optimizer],
    loss: Loss,
    batches: Sequence[tuple[Sequence[np.ndarray], np.ndarray]],
    *,
    micro_batch: int | None = None,
    keep_statistics: bool,
    advance: Callable[[int], None] = lambda images: None,
) -> RangeTest:
    """Train for a few steps at each rate, and put everything back.

    Args:
        classifier: the network; afterwards it is to the bit what it was.
        forward: what it makes logits with.
        make_update: makes what changes it, anew for each rate.
        loss: what is minimised.
        batches: arrays and targets ``[N, classes]`` of training pictures for each step.
        micro_batch: pictures that are run at once; ``None`` for the whole batch.
        keep_statistics: as in :meth:`Classifier.start_training`.
        advance: called with the number of pictures after each step; may raise to stop.
    """
    before = {name: tensor.numpy().copy() for name, tensor in classifier.state().items()}
    losses: list[float] = []
    for rate in RATES:
        try:
            update = make_update()
            update.begin(10**9)  # what is frozen for a while only is trained, too
            classifier.start_training(keep_statistics=keep_statistics)
            paddle.seed(0)  # the same dropout for each
            values = []
            for arrays, targets in batches:
                mean = 0.0
                for cost, _ in costs(forward, update, loss, arrays, targets, micro_batch):
                    mean += float(cost) / len(targets)
                    (cost * (update.precision.scale / len(targets))).backward()
                values.append(mean)
                if not math.isfinite(mean):
                    break
                update.apply(rate)
                advance(len(targets))
        finally:
            classifier.clear_gradients()
            for name, tensor in classifier.state().items():
                tensor.set_value(before[name])
        mean = float(np.mean(values[len(values) // 2 :])) if values else math.inf
        losses.append(mean if math.isfinite(mean) else math.inf)
        if len(losses) - 1 - int(np.argmin(losses)) >= _WORSE:
            break
    rates = [*RATES[: len(losses)]]
    return RangeTest(rates, losses, rates[int(np.argmin(losses))])


def draw_range_test(found: RangeTest) -> bytes:
    """Draw the losses against the rates, with the rate that was taken; a PNG picture."""

    def fill(axes: "Axes") -> None:
        axes.plot(found.rates, found.losses, marker="o")
        axes.axvline(found.chosen, color="tab:orange", label=f"taken: {found.chosen:g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel=f"loss after {STEPS} steps")

    return draw_plot(fill, size=(7, 4))
