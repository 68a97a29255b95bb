"""One training step: forward, backward, update."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import paddle

from hubtune.hardware.device import release_memory
from hubtune.hardware.memory import ran_out_of_memory
from hubtune.models.classifier import Classifier, run_by_shape
from hubtune.rng import seed_for
from hubtune.train.averaging import MovingAverage
from hubtune.train.batch_size import BatchParts
from hubtune.train.batches import Shard, TrainBatch
from hubtune.train.finite import FiniteCheck
from hubtune.train.loss import Loss
from hubtune.train.optimizer import Optimizer


@dataclass(frozen=True)
class StepResult:
    """The figures of a step, taken before its update.

    Attributes:
        loss: mean over the batch's readable images; 0 if there are none.
        correct: images that were classified correctly.
        count: readable images.
    """

    loss: float
    correct: int
    count: int

    def figures(self) -> tuple[float, float] | tuple[None, None]:
        """Return loss and accuracy; ``None`` without a readable image, as 0 would look like a result."""
        return (self.loss, self.correct / self.count) if self.count else (None, None)


class Sharding(Protocol):
    """Computes the gradients of a batch shard by shard."""

    def compute_gradients(self, step: "TrainStep", batch: TrainBatch, number: int) -> StepResult:
        """Leave the gradients of the batch's mean loss in the parameters; ``number`` steps were made."""

    def finish(self, step: "TrainStep", number: int) -> None:
        """Do what is left after the update of the step ``number``, from 1."""


@dataclass
class TrainStep:
    """Changes a network by one batch at a time.

    Attributes:
        forward: computes logits ``[N, num_classes]`` from a batch's arrays; with auxiliary outputs, those of
            all, ``[N, 1 + outputs, num_classes]``.
        keep_statistics: BatchNorm layers keep their pretrained statistics.
        micro_batch: images that are run at once; ``None`` for the whole batch.
        parts: replaces ``micro_batch`` if it has numbers; steps in which memory runs out are made again.
        finite: ends the run if the loss is not a finite number.
        average: of the weights, updated after each step.
        sharding: how the shards of a batch are computed and added up; ``None``: a batch is run as one.
    """

    classifier: Classifier
    forward: Callable[[paddle.Tensor], paddle.Tensor]
    optimizer: Optimizer
    loss: Loss
    keep_statistics: bool
    micro_batch: int | None = None
    parts: BatchParts = field(default_factory=BatchParts)
    seed: int = 0
    finite: FiniteCheck | None = None
    average: MovingAverage | None = None
    sharding: Sharding | None = None

    def start(self, step: int) -> None:
        """Freeze, unfreeze and switch to training mode for the step after ``step`` steps."""
        self.optimizer.begin(step)
        self.classifier.start_training(keep_statistics=self.keep_statistics)

    def run(self, batch: TrainBatch, step: int, rate: float) -> StepResult:
        """Make the step after ``step`` steps; without a readable image, the network stays as it is."""
        # Evaluation leaves the network in evaluation mode.
        if self.optimizer.begin(step) or not self.classifier.training:
            self.classifier.start_training(keep_statistics=self.keep_statistics)
        # Dropout is drawn from the step's number, so that a resumed run repeats it.
        paddle.seed(seed_for(self.seed, "step", step))
        result = self.compute_gradients(batch, step)
        if not result.count:
            return result
        if self.finite is not None:
            self.finite.check(result.loss, "the loss", step + 1, batch.paths)
        self.optimizer.apply(rate)
        if self.sharding is not None:
            self.sharding.finish(self, step + 1)
        if self.finite is not None:
            self.finite.check_update(step + 1, batch.paths)
        if self.average is not None:
            self.average.update(step + 1)
        return result

    def compute_gradients(self, batch: TrainBatch, step: int) -> StepResult:
        """Compute the gradients of a batch's mean loss, for the step after ``step`` steps.

        Where memory runs out, it is tried again with fewer images at once; nothing of what failed stays. The
        first step is computed beside as much memory as the optimizer takes in its update, so that memory that
        is too short shows itself there, before anything has changed.
        """
        while (size := self.parts.in_step(step)) is not None:
            self.micro_batch = size
            statistics = self.classifier.running_statistics()
            before, random = [tensor.clone() for tensor in statistics], paddle.get_rng_state()
            reserve = None
            try:
                if self.optimizer.moment_bytes and not self.optimizer.has_moments:
                    reserve = paddle.empty([self.optimizer.moment_bytes // 4], "float32")
                return self._compute_gradients(batch, step)
            except Exception as error:
                count = max(len(shard.arrays) for shard in batch.shards)
                if not ran_out_of_memory(error) or not self.parts.halve(step, count):
                    raise
            del reserve
            # Only here, as the error keeps what was computed in memory.
            self.classifier.clear_gradients(set_to_zero=False)
            for tensor, values in zip(statistics, before, strict=True):
                tensor.set_value(values)
            paddle.set_rng_state(random)
            release_memory()
        return self._compute_gradients(batch, step)

    def _compute_gradients(self, batch: TrainBatch, step: int) -> StepResult:
        if self.sharding is not None:
            return self.sharding.compute_gradients(self, batch, step)
        count = batch.count
        if not count:
            return StepResult(0.0, 0, 0)
        [shard] = batch.shards
        loss, correct = self.run_shard(shard, divisor=count)
        return StepResult(loss, correct, count)

    def run_shard(self, shard: Shard, divisor: int) -> tuple[float, int]:
        """Run images forward and backward, in parts of ``micro_batch`` images; the gradients add up.

        Returns:
            The sum of the losses, divided by the divisor as the gradients are, and the number of images that
            were classified correctly.
        """
        count = len(shard.arrays)
        size = self.micro_batch or count
        loss, correct = 0.0, 0
        for start in range(0, count, size):
            targets = shard.targets[start : start + size]
            with self.optimizer.precision.cast():
                logits = run_by_shape(self.forward, shard.arrays[start : start + size])
            main = logits if logits.ndim == 2 else logits[:, 0]
            right = self.loss.right(main.astype("float32").numpy(), targets)
            part = self.loss(logits, targets)
            # Divided by the size of the whole batch: the parts add up to its mean.
            (part * (self.optimizer.precision.scale / divisor)).backward()
            loss, correct = loss + float(part) / divisor, correct + int(right.sum())
        return loss, correct
