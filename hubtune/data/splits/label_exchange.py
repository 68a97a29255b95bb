"""Exchange of single units between lists of multi-label images, until their shares of each label agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Units of each list that may be exchanged, and exchanges: they keep the search at about a second.
_MOST_UNITS, _MOST_EXCHANGES = 4000, 1000
# Deviations are weighted in integers: sums of floats would differ between machines.
_WEIGHT = 1_000_000


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The images of units, in the order in which they are allocated.

    Attributes:
        having: images of each unit that have each label, ``[labels, units]``.
        sizes: images of each unit, ``[units]``.
    """

    having: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, units: Sequence[Sequence[int]], sets: Sequence[int], matrix: np.ndarray) -> "LabelCounts":
        """Count the labels of units, which have rows of ``sets``; ``matrix`` is that of ``LabelSets``."""
        sizes = np.fromiter(map(len, units), np.int64, len(units))
        rows = np.fromiter((sets[row] for unit in units for row in unit), np.int64, int(sizes.sum()))
        # Of a million images with hundreds of labels, wider numbers would fill the memory.
        having = np.zeros((matrix.shape[1], len(units)), np.min_scalar_type(int(sizes.max(initial=1))))
        starts = np.cumsum(sizes) - sizes
        for label in range(len(having)) if len(units) else ():
            having[label] = np.add.reduceat(matrix[rows, label].astype(np.int64), starts)
        return cls(having, sizes)

    @cached_property
    def totals(self) -> np.ndarray:
        """Images with each label and without it, ``[labels, 2]``."""
        return self.sums(slice(None))

    def side(self, label: int, without: int) -> np.ndarray:
        """Return the images of each unit with a label (0), or without it (1)."""
        own = self.having[label]
        return self.sizes - own if without else own

    def sums(self, places: np.ndarray | slice) -> np.ndarray:
        """Return the images of some units with each label and without it, ``[labels, 2]``."""
        own = self.having[:, places].sum(axis=1, dtype=np.int64)
        return np.stack([own, self.sizes[places].sum() - own], axis=1)

    def select(self, chosen: np.ndarray) -> "LabelCounts":
        """Return some of the units."""
        return LabelCounts(self.having[:, chosen], self.sizes[chosen])


def exchange_units(
    counts: LabelCounts,
    rows: np.ndarray,
    wanted: np.ndarray,
    scale: int = 1,
    fixed: np.ndarray | None = None,
) -> np.ndarray:
    """Exchange units between lists as long as that brings them nearer to what they are to have.

    The sum of squared deviations of the labels, each divided by the number of its images, is reduced by a
    local search: a unit moves from one list to another, and the best one, or none, comes back.

    Args:
        counts: the labels of the units.
        rows: the list of each unit.
        wanted: images of each list with each label, and without it, times ``scale``, ``[lists, labels, 2]``.
        scale: the number of folds, whose shares may be no integers.
        fixed: whether each unit must stay where it is.

    Returns:
        The new list of each unit.
    """
    free = np.ones(len(rows), bool) if fixed is None else ~fixed
    search = _Exchange(counts, rows.copy(), wanted, scale, free)
    search.run()
    return search.rows


class _Exchange:
    def __init__(
        self, counts: LabelCounts, rows: np.ndarray, wanted: np.ndarray, scale: int, free: np.ndarray
    ) -> None:
        self.rows, self._scale = rows, scale
        lists = range(len(wanted))
        got = np.stack([counts.sums(np.flatnonzero(rows == number)) for number in lists])
        # The last column is all images.
        off = scale * got - wanted
        self._off = np.concatenate([off[..., 0], off[:, :1].sum(axis=2)], axis=1)
        total = int(counts.sizes.sum())
        rarer = np.append(counts.totals.min(axis=1), total)
        self._weights = _WEIGHT // np.maximum(rarer, 1) + 1
        self._places = np.sort(
            np.concatenate([np.flatnonzero((rows == number) & free)[:_MOST_UNITS] for number in lists])
        )
        own = counts.having[:, self._places].T.astype(np.int64)
        self._units = np.concatenate([own, counts.sizes[self._places, None]], axis=1)
        self._fixed = (self._units**2) @ self._weights * (2 * scale)

    def run(self) -> None:
        """Exchange between the two lists that differ most, until no exchange helps any two."""
        stuck: set[tuple[int, int]] = set()
        pairs = [(one, other) for one in range(len(self._off)) for other in range(one)]
        for _ in range(_MOST_EXCHANGES):
            active = [pair for pair in pairs if pair not in stuck]
            if not active:
                break
            pair = max(active, key=self._difference)
            if self._exchange(*pair) or self._exchange(*pair[::-1]):
                stuck = {other for other in stuck if not {*other} & {*pair}}
            else:
                stuck.add(pair)

    def _difference(self, pair: tuple[int, int]) -> int:
        return int((self._weights * (self._off[pair[0]] - self._off[pair[1]]) ** 2).sum())

    def _exchange(self, origin: int, to: int) -> bool:
        """Move a unit, and the best one, or none, back; return False, and move nothing, without a gain."""
        of_place = self.rows[self._places]
        away, back = np.flatnonzero(of_place == origin), np.flatnonzero(of_place == to)
        if not len(away):
            return False
        difference = self._off[origin] - self._off[to]
        costs = self._fixed[away] - 2 * self._units[away] @ (self._weights * difference)
        first = int(costs.argmin())
        one, cost = away[first], int(costs[first])
        change = self._units[one]
        after = difference - 2 * self._scale * change
        backs = self._fixed[back] + 2 * self._units[back] @ (self._weights * after)
        second = int(backs.argmin()) if len(back) else None
        returned = second is not None and int(backs[second]) < 0
        if returned:
            cost += int(backs[second])
        if cost >= 0:
            return False
        self.rows[self._places[one]] = to
        if returned:
            self.rows[self._places[back[second]]] = origin
            change = change - self._units[back[second]]
        self._off[origin] -= self._scale * change
        self._off[to] += self._scale * change
        return True
