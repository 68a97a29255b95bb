"""Stratified allocation of multi-label images to lists and folds.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", ECML
PKDD 2011): the rarest label that is left is divided first, since nothing can correct it later, and what each
list gets counts for all its labels. Both sides of a label are divided, the images with it and those without
it, so that of a label that most images have the rarer side goes first. What is allocated are units: groups of
images that stay in one list.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hubtune.data.splits.label_exchange import LabelCounts, exchange_units

# Units from which one is chosen that a list lacks: comparing all of them would take seconds.
_MOST_CANDIDATES = 2000

_Fill = Callable[[np.ndarray, list[int], list[float]], np.ndarray]
# From units, their images of a side, and what each list lacks of it, to the list of each.


@dataclass(frozen=True, eq=False)
class LabelQuotas:
    """The images that lists are to have; the last list takes the rest.

    Attributes:
        sides: with each label, and without it, ``[lists, labels, 2]``.
        totals: in all, ``[lists]``; the last one's is without effect.
        exact: whether a list is to have at least the quota of each label, though others go beyond theirs.
        training: the number of the list that keeps an image of each label.
        trained: images with each label that are in training beside the units, ``[labels]``.
    """

    sides: np.ndarray
    totals: np.ndarray
    exact: Sequence[bool]
    training: int
    trained: np.ndarray


def allocate_by_labels(counts: LabelCounts, quotas: LabelQuotas) -> np.ndarray:
    """Return the number of the list of each unit.

    Earlier units go first, so that further ones change little. A unit that is larger than what a list lacks
    comes into it only if that brings the list nearer to its quota. Every list with a quota gets at least one
    unit with each label, and without it, as far as training keeps one.
    """

    def fill(places: np.ndarray, amounts: list[int], lacking: list[float]) -> np.ndarray:
        return _in_order(amounts, [round(lack) for lack in lacking[:-1]])

    rows = _by_rarity(counts, quotas.sides, fill)
    balanced = rows if any(quotas.exact) else exchange_units(counts, rows, quotas.sides)
    repaired = _repair(counts, quotas, balanced)
    moved = repaired != balanced
    if any(quotas.exact) or not moved.any():
        return repaired
    # What came for one label may have brought too much of others.
    return _repair(counts, quotas, exchange_units(counts, repaired, quotas.sides, fixed=moved))


def allocate_by_size(sizes: Sequence[int], quotas: Sequence[int]) -> np.ndarray:
    """Return the number of the list of each unit by its size alone; ``len(quotas)`` for the rest."""
    return _in_order([*sizes], [*quotas])


def fold_by_labels(counts: LabelCounts, folds: int) -> np.ndarray:
    """Return the number of the fold of each unit, such that all have equal shares of each label."""
    order = np.argsort(-counts.sizes, kind="stable")  # large ones first, while small ones can balance them
    ordered = counts.select(order)
    sizes, room = ordered.sizes.tolist(), [sum(ordered.sizes.tolist()) / folds] * folds

    def fill(places: np.ndarray, amounts: list[int], lacking: list[float]) -> np.ndarray:
        chosen = []
        for place, amount in zip(places.tolist(), amounts, strict=True):
            best = 0
            for number in range(1, folds):
                more = lacking[number] - lacking[best]
                if more > 0 or (more == 0 and room[number] > room[best]):
                    best = number
            lacking[best] -= amount
            room[best] -= sizes[place]
            chosen.append(best)
        return np.array(chosen, np.int64)

    shares = np.repeat(counts.totals[None], folds, axis=0)
    rows = np.empty(len(order), np.int64)
    rows[order] = exchange_units(ordered, _by_rarity(ordered, shares / folds, fill), shares, folds)
    return rows


def _by_rarity(counts: LabelCounts, wanted: np.ndarray, fill: _Fill) -> np.ndarray:
    """Divide one side of a label after the other, that with the fewest images left first."""
    rows = np.zeros(len(counts.sizes), np.int64)
    pool = np.ones(len(counts.sizes), bool)
    lacking, left = wanted.astype(float), counts.totals.copy()
    while left.any():
        rarest = np.where(left > 0, left, left.max() + 1).argmin()
        label, without = (int(number) for number in np.unravel_index(rarest, left.shape))
        amounts = counts.side(label, without)
        places = np.flatnonzero(pool & (amounts > 0))
        chosen = fill(places, amounts[places].tolist(), lacking[:, label, without].tolist())
        rows[places], pool[places] = chosen, False
        for number in range(len(lacking)):
            taken = counts.sums(places[chosen == number])
            lacking[number] -= taken
            left -= taken
    return rows


def _in_order(amounts: list[int], lacking: list[int]) -> np.ndarray:
    """Fill list after list in the order of the units; the others are the rest."""
    rest = len(lacking)
    chosen = [rest] * len(amounts)
    for number, lack in enumerate(lacking):
        for place, amount in enumerate(amounts):
            if lack <= 0:
                break
            if amount <= lack and chosen[place] == rest:
                chosen[place] = number
                lack -= amount  # what is left of it
        # One that is too large may come nearer than none.
        free = [place for place, own in enumerate(chosen) if own == rest and amounts[place] < 2 * lack]
        if free:
            distances = [abs(amounts[place] - lack) for place in free]
            chosen[free[distances.index(min(distances))]] = number
    return np.array(chosen, np.int64)


def _repair(counts: LabelCounts, quotas: LabelQuotas, rows: np.ndarray) -> np.ndarray:
    search = _Repair(counts, quotas, rows.copy())
    search.run()
    return search.rows


class _Repair:
    """Moves of single units after the allocation: to lists that lack a label, and back from full ones."""

    def __init__(self, counts: LabelCounts, quotas: LabelQuotas, rows: np.ndarray) -> None:
        self.counts, self.quotas, self.rows = counts, quotas, rows
        lists = range(len(quotas.sides))
        self._got = np.stack([counts.sums(np.flatnonzero(rows == number)) for number in lists])
        self._sizes = np.array([counts.sizes[rows == number].sum() for number in lists])
        self._got[quotas.training, :, 0] += quotas.trained
        exact = np.array(quotas.exact, bool)[:, None, None]
        self._least = np.where(exact, quotas.sides, np.minimum(quotas.sides, 1))
        self._least[-1] = 0
        present = counts.totals[:, 0] + quotas.trained
        self._least[quotas.training, :, 0] = np.minimum(present, 1)
        self._spared = np.minimum(self._least, 1)

    def run(self) -> None:
        training, rest = self.quotas.training, len(self._least) - 1
        measured = [number for number in range(rest) if number != training]
        for to in [training, *reversed(measured)]:
            short = np.argwhere(self._got[to] < self._least[to])
            for label, without in sorted(short.tolist(), key=lambda side: self.counts.totals[tuple(side)]):
                while self._got[to, label, without] < self._least[to, label, without]:
                    donors = [rest, training]
                    if to == training:  # what is measured gives way only for a label that cannot be learned
                        donors = [rest] if self._got[to, label, without] else [rest, *measured]
                    if not any(self._move_one(origin, to, label, without) for origin in donors):
                        break
        for number in measured:
            if self.quotas.exact[number]:
                self._take_back(number)

    def _move_one(self, origin: int, to: int, label: int, without: int) -> bool:
        """Move the smallest unit that the list of origin can spare; return whether there is one."""
        if origin == to:
            return False
        sizes, amounts = self.counts.sizes, self.counts.side(label, without)
        places = np.flatnonzero((self.rows == origin) & (amounts > 0))
        places = places[np.argsort(sizes[places], kind="stable")][:_MOST_CANDIDATES]
        own = self.counts.having[:, places].astype(np.int64)
        given = np.stack([own, sizes[places] - own], axis=1)  # [labels, 2, units]
        remaining = self._got[origin][:, :, None] - given
        spared = ((given == 0) | (remaining >= self._spared[origin][:, :, None])).all(axis=(0, 1))
        if not spared.any():
            if to != self.quotas.training or not len(places):
                return False
            spared[:] = True  # a list that measures nothing is better than a label that cannot be learned
        place = int(places[spared.argmax()])
        if to != self.quotas.training:
            # Neither twice the quota, nor more than half of all images, for the sake of one label.
            most = max(2 * float(self.quotas.totals[to]), float(sizes.sum() / 2))
            if self._sizes[to] + sizes[place] > most:
                return False
        self._move(place, to)
        return True

    def _take_back(self, number: int) -> None:
        """Return units to the rest without which a list still has its quotas."""
        wanted, rest = self.quotas.sides[number], len(self._least) - 1
        for place in np.flatnonzero(self.rows == number)[::-1]:
            own = self.counts.sums(np.array([place]))
            if ((own == 0) | (self._got[number] - own >= wanted)).all():
                self._move(int(place), rest)

    def _move(self, place: int, to: int) -> None:
        origin, own = self.rows[place], self.counts.sums(np.array([place]))
        self._got[origin] -= own
        self._got[to] += own
        self._sizes[origin] -= self.counts.sizes[place]
        self._sizes[to] += self.counts.sizes[place]
        self.rows[place] = to
