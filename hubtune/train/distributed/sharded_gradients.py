"""Gradients of a batch that is cut into shards: the same bits however many ranks compute them.

Each shard is run by itself, by the rank that has it: dropout is drawn from the numbers of step and shard, and
BatchNorm normalises by the shard's own statistics (Hoffer et al., "Train longer, generalize better", 2017).
Gradients and running statistics of the shards are added up in a fixed order.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NoReturn

import numpy as np
import paddle

from hubtune.rng import seed_for
from hubtune.train.batches import Shard, TrainBatch
from hubtune.train.distributed.process_group import PendingSum, ProcessGroup
from hubtune.train.step import StepResult, TrainStep


@dataclass
class ShardFigures:
    """Figures of some shards of a batch, in order.

    Attributes:
        losses: sum of each shard's losses, divided by the size of the batch.
        counts: its readable images.
        correct: images of all of them that were classified correctly.
        unused: places of the trained parameters that had no gradient in any of them.
    """

    losses: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    correct: int = 0
    unused: list[int] | None = None

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, other: "ShardFigures") -> None:
        """Append the figures of the shards that follow."""
        self.losses += other.losses
        self.counts += other.counts
        self.correct += other.correct
        if other.unused is not None:
            self.unused = other.unused if self.unused is None else sorted({*self.unused} & {*other.unused})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Exchange = Callable[[ShardFigures], ShardFigures]
"""This rank's figures → those of all ranks. All have made their step when it returns."""


OnFailure = Callable[[Exception], NoReturn]


@dataclass
class ShardedGradients:
    """Computes the shards of one rank, and adds them to those of the others.

    Attributes:
        shards: number of the shards of a batch.
        exchange: of figures, before gradients are added up.
        on_failure: called if gradients cannot be added up, to raise the reason.
    """

    shards: int
    group: ProcessGroup = field(default_factory=ProcessGroup)
    exchange: Exchange = lambda figures: figures
    on_failure: OnFailure | None = None

    def compute_gradients(self, step: TrainStep, batch: TrainBatch, number: int) -> StepResult:
        """Leave the gradients of the whole batch's mean loss in the parameters, after ``number`` steps."""
        trained = step.optimizer.trained
        statistics = step.classifier.running_statistics()
        before = [tensor.clone() for tensor in statistics]
        figures = ShardFigures()

        def compute(shard: Shard) -> paddle.Tensor:
            paddle.seed(seed_for(step.seed, "step", number, shard.number))
            count, loss, correct = len(shard.arrays), 0.0, 0
            if count:
                loss, correct = step.run_shard(shard, divisor=batch.size)
            unused = [place for place, tensor in enumerate(trained) if tensor.grad is None]
            figures.add(ShardFigures([loss], [count], correct, unused if count else None))
            with paddle.no_grad():
                vector = paddle.concat(
                    [
                        (paddle.zeros_like(tensor) if tensor.grad is None else tensor.grad).flatten()
                        for tensor in trained
                    ]
                    + [(tensor * count).flatten() for tensor in statistics]
                )
            step.classifier.clear_gradients(set_to_zero=False)
            assign(statistics, before)
            return vector

        pending = self.group.sum_shards([partial(compute, shard) for shard in batch.shards], self.shards)
        # Nothing is transferred before all have computed: gloo gives up after 30 seconds.
        total = self.exchange(figures)
        if not total.count:
            return StepResult(0.0, 0, 0)
        values = split_like(add_up(pending, self.on_failure), [*trained, *statistics])
        gradients, means = values[: len(trained)], values[len(trained) :]
        for place, (tensor, gradient) in enumerate(zip(trained, gradients, strict=True)):
            if place not in (total.unused or ()):
                tensor.grad = gradient if total.count == batch.size else gradient * (batch.size / total.count)
        assign(statistics, [mean / total.count for mean in means])
        return StepResult(sum(total.losses) * batch.size / total.count, total.correct, total.count)

    def finish(self, step: TrainStep, number: int) -> None:
        """Nothing is left to do: all ranks have made the same update."""


def add_up(pending: PendingSum, on_failure: OnFailure | None) -> paddle.Tensor:
    """Return the sum over all ranks; ``on_failure`` raises why that is not possible."""
    try:
        return pending.add_up()
    except RuntimeError as error:  # of gloo or NCCL, which do not know whose fault it is
        if on_failure is None:
            raise
        on_failure(error)


def flatten(tensors: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """Join tensors to one vector."""
    return paddle.concat([tensor.flatten() for tensor in tensors])


def assign(tensors: Sequence[paddle.Tensor], values: Sequence[paddle.Tensor]) -> None:
    """Copy values into tensors."""
    with paddle.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            paddle.assign(value, tensor)


def split_like(vector: paddle.Tensor, like: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
    """Cut a vector into tensors of the shapes of others."""
    sizes = [int(np.prod(tensor.shape)) for tensor in like]
    pieces = vector.split(sizes) if len(sizes) > 1 else [vector]
    return [piece.reshape(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]
