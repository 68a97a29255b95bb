"""One training step: forward, backward, update."""

from collections.abc import Callable
from dataclasses import dataclass

import paddle

from hubtune.models.classifier import Classifier, run_by_shape
from hubtune.rng import seed_for
from hubtune.train.averaging import MovingAverage
from hubtune.train.batches import TrainBatch
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


@dataclass
class TrainStep:
    """Changes a network by one batch at a time.

    Attributes:
        forward: computes logits ``[N, num_classes]`` from a batch's arrays.
        keep_statistics: BatchNorm layers keep their pretrained statistics.
        micro_batch: images that are run at once; ``None`` for the whole batch.
        finite: ends the run if the loss is not a finite number.
        average: of the weights, updated after each step.
    """

    classifier: Classifier
    forward: Callable[[paddle.Tensor], paddle.Tensor]
    optimizer: Optimizer
    loss: Loss
    keep_statistics: bool
    micro_batch: int | None = None
    seed: int = 0
    finite: FiniteCheck | None = None
    average: MovingAverage | None = None

    def start(self, step: int) -> None:
        """Freeze, unfreeze and switch to training mode for the step after ``step`` steps."""
        self.optimizer.begin(step)
        self.classifier.start_training(keep_statistics=self.keep_statistics)

    def run(self, batch: TrainBatch, step: int, rate: float) -> StepResult:
        """Make the step after ``step`` steps; without a readable image, the network stays as it is."""
        # Evaluation leaves the network in evaluation mode.
        if self.optimizer.begin(step) or not self.classifier.training:
            self.classifier.start_training(keep_statistics=self.keep_statistics)
        if not batch.arrays:
            return StepResult(0.0, 0, 0)
        # Dropout is drawn from the step's number, so that a resumed run repeats it.
        paddle.seed(seed_for(self.seed, "step", step))
        result = self.compute_gradients(batch)
        if self.finite is not None:
            self.finite.check(result.loss, "the loss", step + 1, batch.paths)
        self.optimizer.apply(rate)
        if self.finite is not None:
            self.finite.check_update(step + 1, batch.paths)
        if self.average is not None:
            self.average.update(step + 1)
        return result

    def compute_gradients(self, batch: TrainBatch) -> StepResult:
        """Run a batch forward and backward, in parts of ``micro_batch`` images; the gradients add up."""
        count = len(batch.arrays)
        size = self.micro_batch or count
        loss, correct = 0.0, 0
        for start in range(0, count, size):
            targets = batch.targets[start : start + size]
            with self.optimizer.precision.cast():
                logits = run_by_shape(self.forward, batch.arrays[start : start + size])
            right = logits.astype("float32").numpy().argmax(axis=1) == targets.argmax(axis=1)
            part = self.loss(logits, targets)
            # Divided by the size of the whole batch: the parts add up to its mean.
            (part * (self.optimizer.precision.scale / count)).backward()
            loss, correct = loss + float(part) / count, correct + int(right.sum())
        return StepResult(loss, correct, count)
