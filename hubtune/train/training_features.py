"""The features of a run's training images: rows with their classes, weights and groups."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys
from hubtune.errors import DataError, ModelError
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.feature_table import Rows, Table
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.rng import rng_for
from hubtune.runs.signals import StopRequested
from hubtune.train.batches import resolve_balance
from hubtune.train.context import RunContext
from hubtune.train.data_checks import hash_images

# Images whose rows are in memory at once where they are only added up.
_CHUNK = 256
# Images with each label that a sample has if there are as many: without any, its temperature is unknown.
_LEAST_OF_LABEL = 10


@dataclass(frozen=True)
class FeatureTables:
    """Rows averaged over the views.

    Attributes:
        indices: of the rows that were asked for.
        all: all readable ones of these.
        few: some of them.
        few_single: the same as ``few`` in the first view alone.
    """

    indices: np.ndarray
    all: Table
    few: Table
    few_single: Table


class TrainingFeatures:
    """Computes rows of features for the training list, or reads them from the cache.

    Attributes:
        entries: the image of each row. If copies are merged, classes take turns, so that the first rows have
            all of them.
        labels: class number of each ``[N]``.
        weights: number of equal images ``[N]``, times the weight of the class if the recipe balances classes.
        keys: rows of one key must not be separated.
        digest: of everything that the rows depend on, besides backbone and views.
        bad: index of a row → why its image cannot be read, for all that were tried so far.
        has_changed: whether a file was not the one that had been hashed.
        used: indices of the rows that were computed or read so far.
        is_partial: whether a stop was requested before all rows that were asked for.
    """

    def __init__(
        self, context: RunContext, backbone: FrozenBackbone, blocks: Sequence[int], *, merge_copies: bool
    ) -> None:
        """Take the training list, and read the files whose SHA-256 is not known.

        Args:
            context: of the run.
            backbone: computes the features.
            blocks: widths of the blocks of features.
            merge_copies: whether byte-equal images of one class are one row, with their number as its weight.

        Raises:
            StopRequested: if a stop was requested.
        """
        self._context, self._backbone, self._blocks = context, backbone, blocks
        self._merge_copies = merge_copies
        listed = hash_images(context.data.examples["train"], context.stop.check)
        listed_keys = split_keys(listed, context.data.groups)
        key_of = {entry.path: key for entry, key in zip(listed, listed_keys, strict=True)}
        self._equal = _merge_copies(listed) if merge_copies else [[entry] for entry in listed]
        self.entries = [equal[0] for equal in self._equal]
        self.labels = np.array([entry.label for entry in self.entries])
        self.keys = [key_of[entry.path] for entry in self.entries]
        self.weights = np.array([float(len(equal)) for equal in self._equal])
        labels = np.array([entry.label for entry in listed])
        self.is_balanced = resolve_balance(context.config.balance, labels) != "none"
        if self.is_balanced:
            counts = np.bincount(labels)
            self.weights *= len(labels) / np.count_nonzero(counts) / counts[self.labels]
        lines = [
            f"{entry.sha256 or 'unreadable'} {entry.label} {key} {weight:g}"
            for entry, key, weight in zip(self.entries, self.keys, self.weights, strict=True)
        ]
        self.digest = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
        self.bad: dict[int, str] = {}
        self.has_changed = False
        self.used: set[int] = set()
        self.is_partial = False

    def sample(self, count: int, among: np.ndarray | None = None) -> np.ndarray:
        """Return the indices of about ``count`` rows at most: the same share of each class, in whole groups.

        A class has two rows at least if it has them. A group that is too large for its class's share is left
        out, unless all groups of the class are; then some rows of one are taken. ``among`` are the indices to
        choose from; default: all. Multi-label rows are drawn at random, and some of each label.
        """
        rows = np.arange(len(self.entries)) if among is None else among
        if len(rows) <= count:
            return rows
        groups = defaultdict(list)
        for row in rng_for(self._context.config.seed, "some").permutation(rows).tolist():
            groups[self.keys[row]].append(row)
        if (sets := self._context.data.label_sets) is not None:
            return _draw_groups([*groups.values()], sets.matrix[self.labels], count)
        sizes = np.bincount(self.labels[rows])
        room = np.maximum(2, np.round(count * sizes / len(rows))).astype(int)
        taken: list[int] = []
        for group in groups.values():
            own = np.bincount(self.labels[group], minlength=len(sizes))
            if (own <= room).all():
                taken += group
                room -= own
        missing = set(np.flatnonzero(sizes).tolist()) - set(self.labels[taken].tolist())
        for group in groups.values():
            for label in missing & set(self.labels[group].tolist()):
                missing.remove(label)
                taken += [row for row in group if self.labels[row] == label][: room[label]]
        return np.sort(taken)

    def tables(self, views: Sequence[Preprocessing], indices: np.ndarray, few: np.ndarray) -> FeatureTables:
        """Return the rows of images; ``few`` are some of the ``indices``.

        If a stop is requested, the rows so far are returned, unless they are of a single class.

        Raises:
            DataError: if no image of all can be read, or all are of one class.
            StopRequested: if a stop was requested.
        """
        wanted = set(few.tolist()) if len(views) > 1 else set()
        means, firsts = _Rows(len(indices)), _Rows(len(wanted))
        for index, rows in self._rows(views, indices):
            means.append(index, _mean(rows))
            if index in wanted:
                firsts.append(index, rows[0])
        if self.is_partial and len(np.unique(self.labels[means.indices])) < 2:
            raise StopRequested
        if not means.indices and len(indices) == len(self.entries):
            raise DataError("None of the training pictures can be read: see skipped.csv in the run folder")
        table = self._table(means)
        if len(indices) == len(self.entries) and len(np.unique(table.labels)) < 2:
            raise DataError("All readable training pictures are of one class: a classifier needs two")
        some = table if len(few) == len(indices) else table.take(np.flatnonzero(np.isin(means.indices, few)))
        return FeatureTables(indices, table, some, self._table(firsts) if wanted else some)

    def chunks(self, views: Sequence[Preprocessing], indices: np.ndarray, width: int) -> Iterator[Rows]:
        """Yield the first ``width`` features of images, averaged over the views."""
        outputs = self._rows(views, indices)
        while chunk := [(index, _mean(rows)[:width]) for index, rows in islice(outputs, _CHUNK)]:
            numbers = [index for index, _ in chunk]
            yield np.array([row for _, row in chunk]), self.labels[numbers], self.weights[numbers]

    def report_bad(self, bad: Mapping[int, str]) -> None:
        """Report images that were unreadable when a cached head was fitted to the others."""
        outputs = (
            BackboneOutput(path, None, ImageError(path, reason))
            for path, reason in ((self.entries[index].path, reason) for index, reason in bad.items())
        )
        for index, output in zip(bad, self._watch(outputs, len(bad)), strict=True):
            self._report_copies(index, output)

    def _rows(
        self, views: Sequence[Preprocessing], indices: np.ndarray
    ) -> Iterator[tuple[int, Sequence[np.ndarray]]]:
        """Yield the index of each readable image, and its row in each view; ends early at a stop."""
        paths = [self.entries[index].path for index in indices]
        outputs = self._backbone.extract(views, paths, **self._context.loading)
        watched, numbers = self._watch(outputs, len(paths)), iter(indices.tolist())
        while True:
            try:
                output = next(watched, None)
            except StopRequested:
                if not self._merge_copies:
                    raise
                self.is_partial = True
                return
            if output is None:
                return
            index = next(numbers)
            entry = self.entries[index]
            if output.rows is None:
                if output.error is not None:
                    self.bad[index] = output.error.reason
                    self._report_copies(index, output)
                continue
            if not all(np.isfinite(row).all() for row in output.rows):
                raise ModelError(
                    f"The network's features of {output.path} are not finite numbers: its weights may be "
                    "damaged, or the picture too small for it. Take another module, or another fit"
                )
            # Rows are computed from the file as it is now, which may differ from what the scan read.
            if output.digest is not None and entry.sha256 != output.digest.hex():
                self.has_changed = True
            self.used.add(index)
            yield index, output.rows

    def _watch(self, outputs: Iterator[BackboneOutput], count: int) -> Iterator[BackboneOutput]:
        return self._context.watch("train", outputs, progress="features", count=count)

    def _report_copies(self, index: int, output: BackboneOutput) -> None:
        assert output.error is not None
        for copy in self._equal[index][1:]:
            self._context.bad_images.add("train", ImageError(copy.path, output.error.reason))

    def _table(self, rows: "_Rows") -> Table:
        keys = [self.keys[index] for index in rows.indices]
        labels, weights = self.labels[rows.indices], self.weights[rows.indices]
        return Table(rows.values, labels, weights, keys, self._blocks, self._context.data.targets)


class _Rows:
    """Rows with their indices, in an array of the size that they may need."""

    def __init__(self, most: int) -> None:
        self.indices: list[int] = []
        self._most = most
        self._values = np.empty((0, 0), np.float32)

    def append(self, index: int, row: np.ndarray) -> None:
        if not self.indices:  # allocated once: a list of rows beside the array could be gigabytes
            self._values = np.empty((self._most, len(row)), np.float32)
        self._values[len(self.indices)] = row
        self.indices.append(index)

    @property
    def values(self) -> np.ndarray:
        return self._values[: len(self.indices)]


def _draw_groups(groups: Sequence[Sequence[int]], members: np.ndarray, count: int) -> np.ndarray:
    """Return about ``count`` rows of groups in their order, with some of each label, the rarest label first.

    ``members`` are the labels of all rows, bool ``[N, labels]``.
    """
    of_group = np.array([members[group].sum(axis=0) for group in groups])
    sizes = np.array([len(group) for group in groups])
    taken = np.zeros(len(groups), bool)
    for label in np.argsort(of_group.sum(axis=0), kind="stable").tolist():
        having = np.flatnonzero((of_group[:, label] > 0) & ~taken)
        missing = _LEAST_OF_LABEL - of_group[taken, label].sum()
        before = np.cumsum(of_group[having, label]) - of_group[having, label]
        taken[having[before < missing]] = True
    others = np.flatnonzero(~taken)
    taken[others[np.cumsum(sizes[others]) <= count - sizes[taken].sum()]] = True
    return np.sort([row for place in np.flatnonzero(taken).tolist() for row in groups[place]])


def _mean(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float32))


def _merge_copies(entries: Sequence[ImageEntry]) -> list[list[ImageEntry]]:
    """Join byte-equal images of one class, and order them so that the classes take turns."""
    equal: dict[tuple[int, object], list[ImageEntry]] = defaultdict(list)
    for entry in entries:
        equal[entry.label, entry.sha256 or entry.path].append(entry)
    by_label = defaultdict(list)
    for (label, _), copies in equal.items():
        by_label[label].append(copies)
    turns = zip_longest(*(by_label[label] for label in sorted(by_label)))
    return [copies for copies in chain.from_iterable(turns) if copies is not None]
