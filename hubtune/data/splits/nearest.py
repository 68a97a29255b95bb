"""Groups that are too large for what was asked: a list without any takes the one that comes nearest.

A few large groups, such as five patients with all of their pictures, may fit into no list. A list that is
empty for that reason measures nothing, so that one group too many is better than none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Groups that are looked at, those of a list that one may be exchanged for, and counts that are looked at in
# all: a second or so.
_MOST_GROUPS = 1500
_MOST_EXCHANGED = 30
_MOST_WORK = 100_000_000
# What an empty list costs, and how much more a later one: where one of two must be empty, it is the first.
_EMPTY, _LATER = 1000, 1


def give_each_a_group(
    groups: Sequence[Mapping[int, int]],
    dealt: Sequence[int | None],
    wanted: Sequence[Mapping[int, int]],
    besides: Sequence[Mapping[int, int]],
    rest: Mapping[int, int],
    training: int | None = None,
) -> list[int | None]:
    """Give groups to lists that lack pictures of a class, and have no group of it.

    Groups are moved, or exchanged for others, as long as fewer lists are empty then, or the counts come
    nearer to what is wanted (a local search). Of a class that training has pictures of, it keeps some.

    Args:
        groups: class → pictures in each group, in the order of the lots.
        dealt: the list that each is in; ``None`` for what is left for training.
        wanted: for each list, class → pictures that it is to have.
        besides: for each list, class → pictures in it that are in none of these groups; they will give way.
        rest: class → such pictures that are in training, or in no list.
        training: the number of the training list, where that is one of the lists.

    Returns:
        A list for each group, as ``dealt``.
    """
    moved = list(dealt)
    used = _concerned(groups, dealt, wanted, besides)
    if not used:
        return moved
    labels = sorted({label for place in used for label in groups[place]})
    others = [Counter(own) for own in (*besides, rest)]
    for place in {*range(len(groups))}.difference(used):
        others[_row(dealt[place], wanted)].update(groups[place])
    search = _Search(
        _table([groups[place] for place in used], labels),
        np.array([_row(dealt[place], wanted) for place in used]),
        _table(others, labels),
        _table(wanted, labels),
        _table(besides, labels),
        training,
    )
    search.run()
    for place, row in zip(used, search.places.tolist(), strict=True):
        moved[place] = row if row < len(wanted) else None
    return moved


def _concerned(
    groups: Sequence[Mapping[int, int]],
    dealt: Sequence[int | None],
    wanted: Sequence[Mapping[int, int]],
    besides: Sequence[Mapping[int, int]],
) -> list[int]:
    """The groups that have pictures of a class which a list lacks, and has no group of."""
    inside: list[Counter[int]] = [Counter() for _ in wanted]
    for group, number in zip(groups, dealt, strict=True):
        if number is not None:
            inside[number].update(group)
    lacking = {
        label
        for want, own, more in zip(wanted, inside, besides, strict=True)
        for label, count in want.items()
        if not own[label] and more.get(label, 0) < count
    }
    return [place for place, group in enumerate(groups) if not lacking.isdisjoint(group)][:_MOST_GROUPS]


def _row(number: int | None, lists: Sequence[object]) -> int:
    """The row of a list; what is in none, and left for training, has the last one."""
    return len(lists) if number is None else number


def _table(counts: Sequence[Mapping[int, int]], labels: Sequence[int]) -> np.ndarray:
    return np.array([[own.get(label, 0) for label in labels] for own in counts], np.int64)


class _Move(NamedTuple):
    """A group goes to another row, maybe in exchange for one that is there."""

    gain: int
    group: int
    to: int
    back: int | None


class _Search:
    """Where each group is, and what would be better.

    Args:
        counts: pictures of each group, ``[groups, classes]``.
        places: the row of each group, ``[groups]``.
        others: pictures in no such group, ``[lists + 1, classes]``.
        wanted: pictures that the lists are to have, ``[lists, classes]``.
        loose: pictures of the lists that give way, ``[lists, classes]``.
        training: the row of the training list.
    """

    def __init__(
        self,
        counts: np.ndarray,
        places: np.ndarray,
        others: np.ndarray,
        wanted: np.ndarray,
        loose: np.ndarray,
        training: int | None,
    ) -> None:
        self.places = places
        self._counts, self._wanted, self._loose = counts, wanted, loose
        self._got = others.copy()
        np.add.at(self._got, places, counts)
        self._work = 0
        self._trained = [row for row in (training, len(wanted)) if row is not None]
        # More than all deviations can come to: an empty list is worse than any of them.
        self._worst = int(wanted.sum() + self._got.sum()) + 1

    def run(self) -> None:
        """Move groups into the lists of hungry classes, as long as that gains anything."""
        moving = True
        while moving:
            moving = False
            for to in reversed(range(len(self._wanted))):
                for label in np.flatnonzero(self._hungry(to)).tolist():
                    move = self._best(to, label) if self._hungry(to)[label] else None
                    if move is not None:
                        self._make(move)
                        moving = True

    def _hungry(self, to: int) -> np.ndarray:
        """Which classes lack pictures in a list that has no group of them."""
        inside = self._counts[self.places == to].any(axis=0)
        lacking: np.ndarray = (self._got[to] < self._wanted[to]) & ~inside
        return lacking

    def _best(self, to: int, label: int) -> _Move | None:
        """The move of a group of the class that gains most; an exchange only where nothing else gains."""
        inside = np.flatnonzero(self.places == to)[:_MOST_EXCHANGED].tolist()
        for exchanged in ([None], inside):
            best = None
            for origin in range(len(self._got)):
                groups = np.flatnonzero((self.places == origin) & (self._counts[:, label] > 0))
                for back in exchanged if len(groups) and self._work < _MOST_WORK else []:
                    gains = self._gains(groups, origin, to, back)
                    first = int(gains.argmax())
                    if gains[first] > (best.gain if best else 0):
                        best = _Move(int(gains[first]), int(groups[first]), to, back)
            if best is not None:
                return best
        return None

    def _gains(self, groups: np.ndarray, origin: int, to: int, back: int | None) -> np.ndarray:
        """What is gained by moving each of some groups that are in one row."""
        change = self._counts[groups]
        self._work += change.size
        if back is not None:
            change = change - self._counts[back]
        costs = self._cost(to, self._got[to] + change) + self._cost(origin, self._got[origin] - change)
        gains = self._cost(to, self._got[to]) + self._cost(origin, self._got[origin]) - costs
        lost = change * ((origin in self._trained) - (to in self._trained))
        trained = self._got[self._trained].sum(axis=0)
        gains[((trained > 0) & (trained - lost < 1)).any(axis=1)] = 0
        return gains

    def _cost(self, row: int, got: np.ndarray) -> np.ndarray:
        if row == len(self._wanted):
            return np.zeros(got.shape[:-1], np.int64)
        wanted, loose = self._wanted[row], self._loose[row]
        away = np.maximum(wanted - got, 0) + np.maximum(got - wanted - loose, 0)
        empty = (got < 1) & (wanted > 0)
        return (away + empty * (self._worst * (_EMPTY + _LATER * row))).sum(axis=-1)

    def _make(self, move: _Move) -> None:
        """Move the groups."""
        origin = self.places[move.group]
        for group, one, other in ((move.group, origin, move.to), (move.back, move.to, origin)):
            if group is not None:
                self.places[group] = other
                self._got[one] -= self._counts[group]
                self._got[other] += self._counts[group]
