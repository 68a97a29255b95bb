"""Which list each picture goes to: groups are dealt whole, class after class, in the order of their lots."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hubtune.data.dedup.groups import COPY_KINDS, DuplicateGroup
from hubtune.data.splits.allocate import allocate_class, allocate_spanning
from hubtune.data.splits.nearest import give_each_a_group
from hubtune.data.splits.quota import SplitRequest

Unit = tuple[int, ...]
"""The places of pictures that go to the same list."""


class Assignment:
    """The label and the list of each picture, by its place.

    Attributes:
        labels: ``None`` for what is of no class.
        lists: ``None`` for none yet, or for what is in no list.
        free: whether a picture is still to be put into a list.
        got: class by class, how many of those that were free each list has.
        bound: class by class, how many of these must be in training.
        left_over: class by class, how many of these are in no list.
    """

    def __init__(self, labels: list[int | None], classes: int) -> None:
        """Begin with no picture in a list; those that have a class are free."""
        self.labels = labels
        self.lists: list[str | None] = [None] * len(labels)
        self.free = [label is not None for label in labels]
        self.got: list[Counter[str]] = [Counter() for _ in range(classes)]
        self.bound: Counter[int] = Counter()
        self.left_over: Counter[int] = Counter()

    def add(self, label: int | None, name: str) -> None:
        """Add a picture that is in a list already, or of no class and in none."""
        self.labels.append(label)
        self.lists.append(name if label is not None else None)
        self.free.append(False)

    def counts(self, unit: Sequence[int]) -> Counter[int]:
        """How many pictures of each class there are among some."""
        return Counter(label for place in unit if (label := self.labels[place]) is not None)

    def put(self, unit: Sequence[int], name: str | None) -> None:
        """Put pictures into a list; or, with ``None``, take them out of it again."""
        for label, count in self.counts(unit).items():
            if (before := self.lists[unit[0]]) is not None:
                self.got[label][before] -= count
            if name is not None:
                self.got[label][name] += count
        for place in unit:
            self.lists[place], self.free[place] = name, name is None

    def bind(self, unit: Sequence[int]) -> None:
        """Put what is free among some pictures into training, for good."""
        free = [place for place in unit if self.free[place]]
        self.put(free, "train")
        self.bound += self.counts(free)

    def deal(
        self, together: Sequence[DuplicateGroup], lot: Callable[[Unit], Any], wish: SplitRequest
    ) -> list[Unit]:
        """Deal the pictures that are free to the lists.

        Args:
            together: what belongs together.
            lot: a key that units are sorted by: who comes first is served first.
            wish: what is asked of each class.

        Returns:
            The units that were dealt, most of one picture.
        """
        units, spanning, tied = self._units(together, lot)
        alone = [sum(map(len, own)) for own in units]
        spread: Counter[int] = Counter()
        for unit in spanning:
            spread.update(self.counts(unit))
        rooms = [wish.rooms(number + spread[label], self.bound[label]) for label, number in enumerate(alone)]
        names = list(rooms[0])
        left = [dict(room) for room in rooms]
        if spanning:
            by_list = [{label: rooms[label][name] for label in spread} for name in names]
            counts = [self.counts(unit) for unit in spanning]
            dealt = allocate_spanning(counts, by_list, {label: alone[label] for label in spread})
            for unit, own, number in zip(spanning, counts, dealt, strict=True):
                if number is not None:
                    self.put(unit, names[number])
                    for label, count in own.items():
                        left[label][names[number]] -= count
        for label, found in enumerate(units):
            self._deal_class(found, left[label])
        if tied:
            loose = [[unit for unit in own if unit not in tied] for own in units]
            totals = [number + spread[label] + self.bound[label] for label, number in enumerate(alone)]
            self._give_each_a_group([*tied], loose, rooms, [wish.of(total) for total in totals])
        everything = [unit for own in (*units, spanning) for unit in own]
        self._deal_rest([unit for unit in everything if self.lists[unit[0]] is None], wish)
        return everything

    def _deal_class(self, units: Sequence[Unit], rooms: Mapping[str, int]) -> None:
        names, dealt = [*rooms], allocate_class([*map(len, units)], [*rooms.values()])
        for unit, number in zip(units, dealt, strict=True):
            if number is not None:
                self.put(unit, names[number])

    def _give_each_a_group(
        self,
        tied: Sequence[Unit],
        loose: Sequence[Sequence[Unit]],
        rooms: Sequence[Mapping[str, int]],
        asked: Sequence[Mapping[str, int]],
    ) -> None:
        """Put groups into lists that lack pictures of a class and have no group of it: the nearest.

        Args:
            tied: the groups that more than copies hold together.
            loose: what else each class has; it gives way.
            rooms: pictures that the lists of each class are to have.
            asked: pictures that were asked for; a class that is all groups gives one at least.
        """
        names, counts = list(rooms[0]), [self.counts(unit) for unit in tied]
        others = {name: Counter[int]() for name in (*names, None)}
        others[None].update(self.bound)
        for label, own in enumerate(loose):
            for unit in own:
                others[self.lists[unit[0]]][label] += len(unit)
        wanted = [
            {
                label: max(room[name], int(asked[label][name] > 0 and not loose[label]))
                for label, room in enumerate(rooms)
            }
            for name in names
        ]
        before = [self.lists[unit[0]] for unit in tied]
        dealt = give_each_a_group(
            counts,
            [None if name is None else names.index(name) for name in before],
            wanted,
            [others[name] for name in names],
            others[None],
            names.index("train") if "train" in names else None,
        )
        after = [None if number is None else names[number] for number in dealt]
        trained, changed = Counter(self.bound), set[int]()
        for unit, count, old, new in zip(tied, counts, before, after, strict=True):
            if old != new:
                changed |= {*count}
                self.put(unit, new)
            if new in (None, "train"):
                trained += count
        for label in sorted(changed):
            for unit in loose[label]:
                self.put(unit, None)
            got = {**self.got[label], "train": self.got[label]["train"] - self.bound[label]}
            left = {name: max(0, room - got.get(name, 0)) for name, room in rooms[label].items()}
            # What no group is trained on needs a picture, too.
            self._deal_class(loose[label][not trained[label] :], left)

    def _deal_rest(self, rest: list[Unit], wish: SplitRequest) -> None:
        """Put what no other list took into training, or count it as left over."""
        if wish.train is None:
            for unit in rest:
                self.put(unit, "train")
            return
        # Groups stay whole: some pictures too many are better than a class that cannot be learned.
        for unit in sorted(rest, key=len):
            if any(not self.got[label]["train"] for label in self.counts(unit)):
                self.put(unit, "train")
        for unit in rest:
            if self.lists[unit[0]] is None:
                self.left_over += self.counts(unit)
        for label, count in self.left_over.items():
            self.got[label]["left over"] = count

    def _units(
        self, together: Sequence[DuplicateGroup], lot: Callable[[Unit], Any]
    ) -> tuple[list[list[Unit]], list[Unit], dict[Unit, None]]:
        """The free groups, in their order.

        Returns:
            Those of each class, most of one picture; those that span classes; and which of all these are held
            together by more than being copies.
        """
        own: list[list[Unit]] = [[] for _ in self.got]
        spanning = []
        tied = set()
        grouped: set[int] = set()
        for group in together:
            unit = tuple(place for place in group.members if self.free[place])
            grouped.update(unit)
            labels = self.counts(unit)
            if unit and group.kind not in COPY_KINDS:
                tied.add(unit)
            if len(labels) > 1:
                spanning.append(unit)
            elif unit:
                own[next(iter(labels))].append(unit)
        for place, (free, label) in enumerate(zip(self.free, self.labels, strict=True)):
            if free and label is not None and place not in grouped:
                own[label].append((place,))
        own, spanning = [sorted(found, key=lot) for found in own], sorted(spanning, key=lot)
        in_turn = (unit for found in (*own, spanning) for unit in found if unit in tied)
        return own, spanning, dict.fromkeys(in_turn)
