"""Assignment of images to lists: groups are assigned whole, class after class, in the order of a sort key."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from hubtune.data.dedup.groups import COPY_KINDS, DuplicateGroup
from hubtune.data.splits.allocate import allocate_class, allocate_spanning, fill_empty_lists
from hubtune.data.splits.quota import SplitRequest

Unit = tuple[int, ...]
"""The places of images that go to the same list."""


class Assignment:
    """The label and the list of each image, by its place.

    Attributes:
        labels: ``None`` for an image of no class.
        lists: ``None`` for an image without a list.
        free: whether an image is still to be assigned.
        got: class by class, how many of the images that were free each list has.
        bound: class by class, how many of these must be in training.
        left_over: class by class, how many of these are in no list.
    """

    def __init__(self, labels: list[int | None], classes: int) -> None:
        """Start with no image in a list; those that have a class are free."""
        self.labels = labels
        self.lists: list[str | None] = [None] * len(labels)
        self.free = [label is not None for label in labels]
        self.got: list[Counter[str]] = [Counter() for _ in range(classes)]
        self.bound: Counter[int] = Counter()
        self.left_over: Counter[int] = Counter()

    def add(self, label: int | None, name: str) -> None:
        """Add an image of a list, or, without a label, of none."""
        self.labels.append(label)
        self.lists.append(name if label is not None else None)
        self.free.append(False)

    def counts(self, unit: Sequence[int]) -> Counter[int]:
        """Count the images of each class."""
        return Counter(label for place in unit if (label := self.labels[place]) is not None)

    def put(self, unit: Sequence[int], name: str | None) -> None:
        """Put images into a list; with ``None``, take them out of it again."""
        for label, count in self.counts(unit).items():
            if (before := self.lists[unit[0]]) is not None:
                self.got[label][before] -= count
            if name is not None:
                self.got[label][name] += count
        for place in unit:
            self.lists[place], self.free[place] = name, name is None

    def bind(self, unit: Sequence[int]) -> None:
        """Put the free ones of some images into training, for good."""
        free = [place for place in unit if self.free[place]]
        self.put(free, "train")
        self.bound.update(self.counts(free))  # `+=` would go through all classes

    def allocate(
        self, groups: Sequence[DuplicateGroup], sort_key: Callable[[Unit], Any], request: SplitRequest
    ) -> list[Unit]:
        """Assign the free images to the lists; return the units, most of them of one image.

        The groups, without common members, stay in one list. Units are assigned in the order of ``sort_key``.
        """
        units, spanning, grouped = self._units(groups, sort_key)
        alone = [sum(map(len, own)) for own in units]
        spread = self.counts([*chain.from_iterable(spanning)])
        free = [number + spread[label] for label, number in enumerate(alone)]
        quotas = [request.quotas(number, self.bound[label]) for label, number in enumerate(free)]
        names = list(quotas[0])
        if spanning:
            by_list = [{label: quotas[label][name] for label in spread} for name in names]
            counts = [self.counts(unit) for unit in spanning]
            allocation = allocate_spanning(counts, by_list, {label: alone[label] for label in spread})
            for unit, number in zip(spanning, allocation, strict=True):
                if number is not None:
                    self.put(unit, names[number])
        for label, own_units in enumerate(units):
            self._allocate_class(label, own_units, quotas[label])
        if grouped:
            known = set(grouped)
            loose = [[unit for unit in own if unit not in known] for own in units]
            sizes = [request.sizes(number + self.bound[label]) for label, number in enumerate(free)]
            self._fill_empty_lists(grouped, loose, quotas, sizes)
        everything = [unit for own in (*units, spanning) for unit in own]
        self._assign_rest([unit for unit in everything if self.lists[unit[0]] is None], request)
        return everything

    def _allocate_class(self, label: int, units: Sequence[Unit], quotas: Mapping[str, int]) -> None:
        """Allocate units of a class to what its lists have not got yet."""
        names, got = [*quotas], {**self.got[label], "train": self.got[label]["train"] - self.bound[label]}
        left = [max(0, quota - got.get(name, 0)) for name, quota in quotas.items()]
        for unit, number in zip(units, allocate_class([*map(len, units)], left), strict=True):
            if number is not None:
                self.put(unit, names[number])

    def _fill_empty_lists(
        self,
        grouped: Sequence[Unit],
        loose: Sequence[Sequence[Unit]],
        quotas: Sequence[Mapping[str, int]],
        sizes: Sequence[Mapping[str, int]],
    ) -> None:
        """Give a group of ``grouped`` to lists that lack images of a class and have no group of it.

        ``loose`` are the other units of each class, which give way. ``quotas`` is what the lists are to have,
        and ``sizes`` what was requested, by class; a class that is all groups gives at least one.
        """
        names: list[str | None] = [*quotas[0], None]
        counts = [self.counts(unit) for unit in grouped]
        others = {name: Counter[int]() for name in names}
        others[None].update(self.bound)
        for label, own in enumerate(loose):
            for unit in own:
                others[self.lists[unit[0]]][label] += len(unit)
        wanted = [
            {
                label: max(quota[name], int(sizes[label][name] > 0 and not loose[label]))
                for label, quota in enumerate(quotas)
            }
            for name in quotas[0]
        ]
        rows = [names.index(self.lists[unit[0]]) for unit in grouped]
        training = [row for row, name in enumerate(names) if name in ("train", None)]
        moved = fill_empty_lists(counts, rows, wanted, [*others.values()], training)
        trained, changed = Counter(self.bound), set[int]()
        for unit, count, new in zip(grouped, counts, (names[row] for row in moved), strict=True):
            if new != self.lists[unit[0]]:
                changed |= {*count}
                self.put(unit, new)
            if new in (None, "train"):
                trained.update(count)
        for label in sorted(changed):
            for unit in loose[label]:
                self.put(unit, None)
            # A class without a group in training keeps one of these images for it.
            self._allocate_class(label, loose[label][not trained[label] :], quotas[label])

    def _assign_rest(self, rest: list[Unit], request: SplitRequest) -> None:
        """Put the units without a list into training, or count them as left over."""
        if request.train is None:
            for unit in rest:
                self.put(unit, "train")
            return
        # Groups stay whole: a few images too many are better than a class that cannot be learned.
        for unit in sorted(rest, key=len):
            if any(not self.got[label]["train"] for label in self.counts(unit)):
                self.put(unit, "train")
        for unit in rest:
            if self.lists[unit[0]] is None:
                self.left_over.update(self.counts(unit))
        for label, count in self.left_over.items():
            self.got[label]["left over"] = count

    def _units(
        self, groups: Sequence[DuplicateGroup], sort_key: Callable[[Unit], Any]
    ) -> tuple[list[list[Unit]], list[Unit], list[Unit]]:
        """Return the free units in order: by class, those that span classes, and of all more than copies."""
        own: list[list[Unit]] = [[] for _ in self.got]
        spanning, grouped = [], set[Unit]()
        members: set[int] = set()
        for group in groups:
            unit = tuple(place for place in group.members if self.free[place])
            members.update(unit)
            labels = self.counts(unit)
            if unit and group.kind not in COPY_KINDS:
                grouped.add(unit)
            if len(labels) > 1:
                spanning.append(unit)
            elif unit:
                own[next(iter(labels))].append(unit)
        for place, (free, label) in enumerate(zip(self.free, self.labels, strict=True)):
            if free and label is not None and place not in members:
                own[label].append((place,))
        own, spanning = [sorted(units, key=sort_key) for units in own], sorted(spanning, key=sort_key)
        return own, spanning, [unit for units in (*own, spanning) for unit in units if unit in grouped]
