"""Rank 0's part in a job: it trains as a single process does, and gives the others a share of the work."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import paddle

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hardware import throughput
from hubtune.hardware.cpu import MKL_TYPE
from hubtune.inference.predict import ImageScores
from hubtune.models.classifier import Classifier
from hubtune.train.batches import TrainBatch
from hubtune.train.checkpoint import optimizer_state
from hubtune.train.context import RunContext
from hubtune.train.distributed.group import RankGroup
from hubtune.train.distributed.process_group import free_port, start_process_group
from hubtune.train.distributed.sharded_gradients import ShardedGradients, ShardFigures
from hubtune.train.distributed.shared_images import decode_scores, share_images
from hubtune.train.evaluator import Scorer
from hubtune.train.optimizer import Optimizer


def describe_run(context: RunContext, group: RankGroup) -> None:
    """Tell the other ranks what the run is: recipe, module, and training images."""
    examples, sets = context.data.examples["train"], context.data.label_sets
    group.order(
        "describe",
        {
            "config": context.config.model_dump_json(),
            "module": context.module.name,
            "weights": context.module.weights,
            "module_sha256": context.module.weights_sha256,
            "labels": context.data.labels,
            "label_sets": None if sets is None else {"labels": sets.labels, "sets": sets.sets},
            "paths": [str(example.path) for example in examples],
            MKL_TYPE: os.environ.get(MKL_TYPE),
        },
        {"labels": np.array([example.label for example in examples], np.int64)},
    )


def share_best_scores(context: RunContext, group: RankGroup, score: Scorer) -> Scorer:
    """Let the other ranks score a part of the images by the run's best model, as ``score`` does."""
    files = {
        file.name: np.frombuffer(file.read_bytes(), np.uint8)
        for file in sorted(context.folder.best_model.iterdir())
        if file.is_file()
    }
    group.order("load_best", {}, files)
    size = context.loading["batch_size"]

    def shared(paths: Sequence[Path]) -> Iterator[ImageScores]:
        return share_images(group, "score_best", {}, paths, size, score, decode_scores)

    return shared


class TrainingLead:
    """Orders of rank 0 in a training by gradients."""

    def __init__(self, context: RunContext, group: RankGroup) -> None:
        self._context, self._group = context, group

    def prepare(
        self,
        classifier: Classifier,
        views: Sequence[Preprocessing],
        last_stage_only: bool,
        micro_batch: int | None,
    ) -> ShardedGradients:
        """Let the others build the network, with the values that it has here, and connect for sums.

        Returns:
            What computes the gradients of all ranks.
        """
        port, host = free_port(), self._group.peers[0].own_host
        document = {
            "views": [view.model_dump_json() for view in views],
            "last_stage_only": last_stage_only,
            "second_order": classifier.second_order is not None,
            "micro_batch": micro_batch,
            "port": port,
            "threads": throughput.thread_count(),
        }
        self._group.order("train", document, _arrays(classifier.training_state()))
        # Paddle waits for all without letting this process notice that one has died.
        self._group.gather()
        process_group = start_process_group(self._group.rank, f"{host}:{port}", host)
        shards = self._context.config.shards
        assert shards is not None
        return ShardedGradients(shards, process_group, self._exchange, self._group.raise_failure)

    def begin_range_test(self) -> None:
        self._group.order("range_test")

    def start(self, rate: float, step: int, classifier: Classifier, optimizer: Optimizer) -> None:
        """Let the others continue after a number of steps, from the values of network and optimizer."""
        arrays = {f"network/{name}": array for name, array in _arrays(classifier.training_state()).items()}
        moments = optimizer_state(optimizer.optimizer, classifier)
        arrays |= {f"optimizer/{name}": array for name, array in moments.items()}
        document = {
            "rate": rate,
            "step": step,
            "precision": vars(optimizer.precision),
            "threads": throughput.thread_count(),
        }
        self._group.order("start", document, arrays)

    def announced(self, batches: Iterator[TrainBatch]) -> Iterator[TrainBatch]:
        """Yield batches, for each of which the other ranks make their part of the step."""
        for batch in batches:
            self._group.order("step")
            yield batch

    def share_scores(self, classifier: Classifier, score: Scorer) -> Scorer:
        """Let the other ranks score a part of the images by the network as it is then."""
        size = self._context.config.images_per_step

        def shared(paths: Sequence[Path]) -> Iterator[ImageScores]:
            # With its values: those of a moving average are on rank 0 only.
            state = _arrays(classifier.training_state())
            return share_images(self._group, "score", {}, paths, size, score, decode_scores, state)

        return shared

    def _exchange(self, figures: ShardFigures) -> ShardFigures:
        """Add the figures of all other ranks to those of this one, and tell all of them."""
        for message in self._group.gather():
            for path, reason in message.document["bad"]:
                self._context.bad_images.add("train", ImageError(path, reason))
            figures.add(ShardFigures(**message.document["figures"]))
        self._group.order("figures", figures.as_dict())
        return figures


def _arrays(state: Mapping[str, paddle.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}
