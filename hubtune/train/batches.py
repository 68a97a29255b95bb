"""Batches of training images: their order, loading, class balance and mixing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from hubtune.data.images.mixup import mix_batch
from hubtune.data.loader import load_batches
from hubtune.data.shards.members import shards_of
from hubtune.recipe.augment import AugmentSettings
from hubtune.rng import rng_for
from hubtune.train.context import RunContext
from hubtune.train.loss import one_hot
from hubtune.train.schedules import RunLength

PrepareInput = Callable[[int, int], np.ndarray]
"""Epoch and index of a training image → the network's input for it; called in any thread."""

_IMBALANCE = 2.0  # `balance: auto` acts if the largest class has more than this many times the smallest


@dataclass(frozen=True)
class Shard:
    """The readable images of one part of a batch, which is run by itself.

    Attributes:
        number: its place in the batch, from 0.
        targets: share of each class, or of each label, ``[N, num_classes]``.
    """

    number: int
    arrays: Sequence[np.ndarray]
    targets: np.ndarray


@dataclass(frozen=True)
class TrainBatch:
    """A batch, or what this process computes of it.

    Attributes:
        shards: the parts that this process computes; all of them if it is the only one.
        paths: files of the whole batch, without those that this process cannot read.
        size: images of the whole batch, unreadable ones included.
        waited: seconds that the network waited for it.
    """

    shards: Sequence[Shard]
    paths: Sequence[Path]
    size: int
    waited: float

    @property
    def count(self) -> int:
        """Number of readable images in the shards."""
        return sum(len(shard.arrays) for shard in self.shards)


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

    @cached_property
    def _tar_shards(self) -> np.ndarray:
        """Number of the tar shard of each image; asked for only if an epoch goes by windows of them."""
        return shards_of(self._paths)[1]

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
        if self._context.config.shard_window is not None:
            shards = rng_for(self._context.config.seed, "shards", epoch)
            order = order_by_windows(order, self._tar_shards, self._context.config.shard_window, shards)
        size = self._length.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _load(self, epoch: int, batches: list[list[int]], first_step: int) -> Iterator[TrainBatch]:
        prepare = partial(self._prepare, epoch)
        own = [self._own_shards(batch) for batch in batches]
        joined = [[index for shard in shards.values() for index in shard] for shards in own]
        config, readers = self._context.config, self._context.rank.size
        loaded = load_batches(self._paths, joined, prepare, workers=config.workers, readers=readers)
        for step, (batch, listed, shards) in enumerate(zip(loaded, batches, own, strict=True), first_step):
            for error in batch.bad.values():
                self._context.bad_images.add("train", error)
            arrays = iter(batch.arrays)
            parts = []
            for number, indices in shards.items():
                readable = [index for index in indices if index not in batch.bad]
                parts.append(self._shard(step, number, [*islice(arrays, len(readable))], readable))
            paths = [self._paths[index] for index in listed if index not in batch.bad]
            yield TrainBatch(parts, paths, len(listed), batch.waited)

    def _own_shards(self, batch: Sequence[int]) -> dict[int, list[int]]:
        """Return number → indices of the shards of a batch that this process computes."""
        count = self._context.config.shards
        if count is None:  # one process
            return {0: [*batch]}
        shards = cut_into_shards(batch, count, min(self._length.batch_size, self._length.images))
        rank = self._context.rank
        each = count // rank.size
        return {number: shards[number] for number in range(rank.number * each, (rank.number + 1) * each)}

    def _shard(self, step: int, number: int, arrays: Sequence[np.ndarray], indices: Sequence[int]) -> Shard:
        config, data = self._context.config, self._context.data
        labels = self.labels[np.asarray(indices, dtype=np.int64)]
        sets = data.label_sets
        targets = (
            one_hot(labels, len(data.labels)) if sets is None else sets.matrix[labels].astype(np.float32)
        )
        if not (self._mixing.mixes and arrays):
            return Shard(number, arrays, targets)
        drawn_from = [step] if config.shards is None else [step, number]
        random = rng_for(config.seed, "mix", *drawn_from)
        return Shard(number, *mix_batch(arrays, targets, self._mixing, random))


def cut_into_shards(batch: Sequence[int], count: int, batch_size: int) -> list[list[int]]:
    """Cut a batch into ``count`` consecutive shards; those at the end of a smaller batch are empty.

    A shard has as many images as one of a whole batch of ``batch_size``, or more: BatchNorm needs several.
    """
    filled = min(count, max(1, len(batch) * count // batch_size))
    cuts = [len(batch) * number // filled for number in range(filled + 1)]
    return [[*batch[start:end]] for start, end in pairwise(cuts)] + [[] for _ in range(count - filled)]


def order_by_windows(
    order: Sequence[int], shards: np.ndarray, window: int, random: np.random.Generator
) -> list[int]:
    """Return an order in which images of ``window`` tar shards at a time come one after another.

    The shards are divided at random; images of each window keep their order.

    Args:
        order: indices of images.
        shards: number of the shard of each image ``[N]``; -1 for other files, which count as one.
    """
    place = random.permutation(int(shards.max(initial=-1)) + 2)
    windows = place[shards + 1] // window
    indices = np.asarray(order, np.int64)
    ordered: list[int] = indices[np.argsort(windows[indices], kind="stable")].tolist()
    return ordered


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
