"""Model averaging: each rank trains by itself, and all take the mean of their models from time to time.

It moves fewer bytes than a sum of gradients at each step, and is another algorithm, whose result depends on
the number of ranks. Zinkevich et al., "Parallelized Stochastic Gradient Descent", 2010; the
``model_average_iter_interval`` of Alibaba's PAI.
"""

from dataclasses import dataclass, field

import paddle

from hubtune.rng import seed_for
from hubtune.train.batches import TrainBatch
from hubtune.train.distributed.process_group import ProcessGroup
from hubtune.train.distributed.sharded_gradients import (
    Exchange,
    OnFailure,
    ShardFigures,
    add_up,
    assign,
    flatten,
    split_like,
)
from hubtune.train.plan import LoopSettings
from hubtune.train.step import StepResult, TrainStep


@dataclass
class ModelAveraging:
    """Trains on the shard of one rank, and averages the models after some of the steps.

    Attributes:
        settings: say after which steps.
    """

    settings: LoopSettings
    group: ProcessGroup
    exchange: Exchange
    on_failure: OnFailure | None = None
    _own: int = field(default=0, init=False)  # images since the latest average
    _all: int = field(default=0, init=False)

    def compute_gradients(self, step: TrainStep, batch: TrainBatch, number: int) -> StepResult:
        """Leave the gradients of this rank's own images in the parameters; the figures are those of all."""
        [shard] = batch.shards
        count, loss, correct = len(shard.arrays), 0.0, 0
        if count:
            paddle.seed(seed_for(step.seed, "step", number, shard.number))
            loss, correct = step.run_shard(shard, divisor=count)
        total = self.exchange(ShardFigures([loss * count / batch.size], [count], correct))
        self._own += count
        self._all += total.count
        if not total.count:
            return StepResult(0.0, 0, 0)
        if not count:  # the optimizer has its moments all the same, which are averaged, too
            for tensor in step.optimizer.trained:
                tensor.grad = paddle.zeros_like(tensor)
        return StepResult(sum(total.losses) * batch.size / total.count, total.correct, total.count)

    def finish(self, step: TrainStep, number: int) -> None:
        """After some of the steps, give all ranks the mean of their models, weighted by images."""
        if not self.settings.averages_after(number) or not self._all:
            return
        moments = step.optimizer.optimizer.state_dict()
        tensors = [*step.classifier.training_state().values(), *(moments[name] for name in sorted(moments))]
        tensors = [tensor for tensor in tensors if tensor.is_floating_point()]
        with paddle.no_grad():
            vector = flatten([tensor.astype("float32") * (self._own / self._all) for tensor in tensors])
            pending = self.group.sum_shards([lambda: vector], shards=self.group.size)
            mean = split_like(add_up(pending, self.on_failure), tensors)
            assign(tensors, mean)
        self._own = self._all = 0
