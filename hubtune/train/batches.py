"""Batches of training images: their order, loading, class balance and mixing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hubtune.data.images.mixup import mix_batch
from hubtune.data.loader import load_batches
from hubtune.recipe.augment import AugmentSettings
from hubtune.rng import rng_for
from hubtune.train.context import RunContext
from hubtune.train.loss import one_hot
from hubtune.train.schedules import RunLength

PrepareInput = Callable[[int, int], np.ndarray]
"""Epoch and index of a training image → the network's input for it; called in any thread."""

_IMBALANCE = 2.0  # `balance: auto` acts if the largest class has more than this many times the smallest


@dataclass(frozen=True)
class TrainBatch:
    """The inputs and files of a batch's readable images.

    Attributes:
        targets: share of each class ``[N, num_classes]``.
        size: images of the batch, unreadable ones included.
        waited: seconds that the network waited for it.
    """

    arrays: Sequence[np.ndarray]
    targets: np.ndarray
    paths: Sequence[Path]
    size: int
    waited: float


class TrainBatches:
    """The batches of a run; an epoch's order is drawn from (seed, epoch) alone."""

    def __init__(
        self, context: RunContext, length: RunLength, prepare: PrepareInput, mixing: AugmentSettings
    ) -> None:
        self._context, self._length = context, length
        self._prepare, self._mixing = prepare, mixing
        self._paths = context.paths("train")
        self.labels = np.array([example.label for example in context.data.examples["train"]], dtype=np.int64)
        self.balance = resolve_balance(context.config.balance, self.labels)

    def after(self, step: int, epochs: int | None = None) -> Iterator[TrainBatch]:
        """Load the batches that follow ``step`` steps, up to the last of ``epochs``, by default the run's."""
        steps = self._length.steps_per_epoch
        for epoch in range(step // steps, epochs or self._context.config.epochs):
            batches = self._order(epoch)
            if epoch == step // steps:
                batches = batches[step % steps :]
            yield from self._load(epoch, batches, (epoch + 1) * steps - len(batches))

    def _order(self, epoch: int) -> list[list[int]]:
        random = rng_for(self._context.config.seed, "order", epoch)
        if self.balance == "sampler":
            order = balanced_order(self.labels, random)
        else:
            order = random.permutation(len(self._paths)).tolist()
        size = self._length.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _load(self, epoch: int, batches: list[list[int]], first_step: int) -> Iterator[TrainBatch]:
        config, num_classes = self._context.config, len(self._context.data.labels)
        prepare = partial(self._prepare, epoch)
        loaded = load_batches(self._paths, batches, prepare, workers=config.workers)
        for step, batch in enumerate(loaded, first_step):
            for error in batch.bad.values():
                self._context.bad_images.add("train", error)
            arrays, labels = batch.arrays, self.labels[batch.indices]
            if self._mixing.mixes and arrays:
                random = rng_for(config.seed, "mix", step)
                arrays, targets = mix_batch(arrays, labels, num_classes, self._mixing, random)
            else:
                targets = one_hot(labels, num_classes)
            paths = [self._paths[index] for index in batch.indices]
            yield TrainBatch(arrays, targets, paths, len(paths) + len(batch.bad), batch.waited)


def resolve_balance(balance: str, labels: np.ndarray) -> str:
    """Return the balance for these labels, ``auto`` resolved to ``weights`` or ``none``."""
    if balance != "auto":
        return balance
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    return "weights" if len(counts) and counts.max() > _IMBALANCE * counts.min() else "none"


def balanced_order(labels: np.ndarray, random: np.random.Generator) -> list[int]:
    """Return as many indices as there are labels, each class equally often, in random order.

    All images of a class are shown before any of them is shown again.
    """
    classes = np.unique(labels)
    shares = np.full(len(classes), len(labels) // len(classes))
    shares[random.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    chosen: list[int] = []
    for label, share in zip(classes, shares, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = -(-share // len(own))
        chosen += np.concatenate([random.permutation(own) for _ in range(rounds)])[:share].tolist()
    order: list[int] = random.permutation(chosen).tolist()
    return order
