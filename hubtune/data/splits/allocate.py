"""Allocation of groups of different sizes to lists, such that every list meets its quota exactly if it can.

Within a class this is a subset-sum problem for several sums at once. Most groups are allocated in order; the
last of each list are chosen by dynamic programming (Bellman, "Notes on the theory of dynamic programming IV:
maximization over discrete sets", 1956), over more and more of them until the counts are exact. Groups that
span classes are allocated in order, too, and then exchanged as long as that brings the counts nearer.

If every group exceeds a list's quota, such as a few patients with many images each, the list would be empty
and measure nothing. :func:`fill_empty_lists` gives it the group closest to the quota.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Images of each list that the dynamic programming decides at first; four times as many at each new try.
_FIRST_MARGIN = 32
# Limits that keep each search at about a second: sums times groups of the dynamic programming; groups put in,
# groups taken out and exchanges a list; groups, exchanged groups and counts of the search for empty lists.
_MOST_SUMS = 300_000_000
_MOST_PUT_IN, _MOST_TAKEN_OUT, _MOST_EXCHANGES = 1500, 100, 100
_MOST_GROUPS, _MOST_EXCHANGED, _MOST_COUNTS = 1500, 30, 100_000_000
# Cost of an empty list, and the surplus of each later one: if one of two must be empty, it is the first.
_EMPTY, _LATER = 1000, 1

Allocation = list[int | None]
"""For each group, the number of its list, or ``None``."""


def allocate_class(sizes: Sequence[int], quotas: Sequence[int]) -> Allocation:
    """Allocate the groups of one class, of these numbers of images; earlier groups go first.

    No list exceeds its quota of images, and all meet it exactly if that is possible; otherwise the result is
    the closest that was found.
    """
    allocation = _in_order(sizes, quotas, 0)
    lack = sum(_left(sizes, quotas, allocation))
    divisor = math.gcd(*sizes)
    # Sums that are no multiple of the divisor are out of reach. Others may be as well, which takes a try.
    least = sum(quota % divisor for quota in quotas) if divisor else 0
    enough = sum(sizes) - max(sizes, default=0) >= sum(quotas)
    margin = _FIRST_MARGIN
    while lack > (least if enough else 0):
        candidate = _in_order(sizes, quotas, margin)
        if not _complete(sizes, quotas, candidate):
            break
        if (lack_now := sum(_left(sizes, quotas, candidate))) < lack:
            allocation, lack = candidate, lack_now
        if margin >= max(quotas):  # all groups were considered
            break
        margin *= 4
    return allocation


def _in_order(sizes: Sequence[int], quotas: Sequence[int], margin: int) -> Allocation:
    """Fill list after list in the order of the groups, up to a margin; groups that do not fit are skipped."""
    allocation: Allocation = [None] * len(sizes)
    for number, quota in enumerate(quotas):
        left = quota - min(margin, quota)
        for place, size in enumerate(sizes):
            if left <= 0:
                break
            if size <= left and allocation[place] is None:
                allocation[place] = number
                left -= size
    return allocation


def _left(sizes: Sequence[int], quotas: Sequence[int], allocation: Allocation) -> list[int]:
    """Return what each list lacks."""
    left = list(quotas)
    for size, number in zip(sizes, allocation, strict=True):
        if number is not None:
            left[number] -= size
    return left


def _complete(sizes: Sequence[int], quotas: Sequence[int], allocation: Allocation) -> bool:
    """Fill the rest of the quotas as exactly as possible; return False if that would take too long."""
    left = _left(sizes, quotas, allocation)
    of_size: Counter[int] = Counter()
    places = []
    for place, size in enumerate(sizes):
        # More groups of one size than fit cannot help.
        if allocation[place] is None and of_size[size] < sum(quota // size for quota in left):
            of_size[size] += 1
            places.append(place)
    if math.prod(quota + 1 for quota in left) * len(places) > _MOST_SUMS:
        return False
    for place, number in zip(places, _best_sums([sizes[place] for place in places], left), strict=True):
        allocation[place] = number
    return True


def _best_sums(sizes: Sequence[int], quotas: Sequence[int]) -> Allocation:
    """Choose groups whose sizes add up to each quota, or with the least lack in all."""
    shape = tuple(quota + 1 for quota in quotas)
    start = (0,) * len(quotas)
    reached = np.zeros(shape, bool)
    reached[start] = True
    # The group by which each sum was reached first, and its list.
    group_of, list_of = np.full(shape, -1, np.int32), np.zeros(shape, np.int8)
    for number, size in enumerate(sizes):
        before = reached.copy()
        for axis, quota in enumerate(quotas):
            if size > quota:
                continue
            ahead = (slice(None),) * axis
            to, origin = (*ahead, slice(size, None)), (*ahead, slice(None, -size))
            new = before[origin] & ~reached[to]
            group_of[to][new] = number
            list_of[to][new] = axis
            reached[to] |= new
        if reached[tuple(quotas)]:
            break
    lacks = sum(np.ogrid[tuple(slice(quota, -1, -1) for quota in quotas)], start=np.zeros((), np.int64))
    sums = [int(axis) for axis in np.unravel_index(np.where(reached, lacks, lacks.max() + 1).argmin(), shape)]
    allocation: Allocation = [None] * len(sizes)
    while tuple(sums) != start:
        number, axis = int(group_of[tuple(sums)]), int(list_of[tuple(sums)])
        allocation[number] = axis
        sums[axis] -= sizes[number]
    return allocation


def allocate_spanning(
    groups: Sequence[Mapping[int, int]], quotas: Sequence[Mapping[int, int]], others: Mapping[int, int]
) -> Allocation:
    """Allocate groups that span classes; no list exceeds its quota of any class.

    Groups and quotas are class → images, earlier groups go first; ``others`` are outside of these groups, and
    fill the rest.
    """
    own: Counter[int] = Counter()
    for group in groups:
        own.update(group)
    allocation: Allocation = [None] * len(groups)
    rests = [Counter(quota) for quota in quotas]
    for number, rest in enumerate(rests):
        # Of each class, a list gets the same share of these groups as of all its images.
        share = Counter(
            {
                label: math.ceil(rest[label] * count / (count + others.get(label, 0)))
                for label, count in own.items()
            }
        )
        for place, group in enumerate(groups):
            if allocation[place] is None and all(count <= share[label] for label, count in group.items()):
                allocation[place] = number
                share.subtract(group)
                rest.subtract(group)
    labels = sorted(own)
    counts = _table(groups[:_MOST_PUT_IN], labels)
    # Images in no group can fill the rest, so it is not a lack.
    filled = _table([others], labels)[0] // len(quotas)
    for number, left in enumerate(_table(rests, labels)):
        _exchange(counts, allocation, number, left, filled)
    return allocation


def _exchange(
    counts: np.ndarray, allocation: Allocation, number: int, left: np.ndarray, filled: np.ndarray
) -> None:
    """Bring a list nearer to its quotas, in place: take one group out, or none, and put others in.

    ``counts`` is ``[groups, classes]``; ``left`` ``[classes]`` is lacking, ``filled`` of it others can fill.
    """
    used = range(len(counts))
    for _ in range(_MOST_EXCHANGES):
        lack = _lack(left, filled)
        if not lack:
            break
        free = [place for place in used if allocation[place] is None]
        inside = [place for place in used if allocation[place] == number]
        refills = [
            (_refill(counts, free, left if out is None else left + counts[out], filled), out)
            for out in [None, *inside[:_MOST_TAKEN_OUT]]
        ]
        (put_in, left_then), out = min(refills, key=lambda refill: _lack(refill[0][1], filled))
        if _lack(left_then, filled) >= lack:
            break
        if out is not None:
            allocation[out] = None
        for place in put_in:
            allocation[place] = number
        left = left_then


def _refill(
    counts: np.ndarray, free: Sequence[int], left: np.ndarray, filled: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """Put groups into a list greedily, the one that fills most first; return them, and what is left then."""
    put_in: list[int] = []
    candidates = np.asarray(free, np.int64)
    while len(candidates := candidates[(counts[candidates] <= left).all(axis=1)]):
        rest = left - counts[candidates]
        best = int(_lack(rest, filled).argmin())
        put_in.append(int(candidates[best]))
        left = rest[best]
        candidates = np.delete(candidates, best)
    return put_in, left


def _lack(left: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Return what a list lacks, ``left`` ``[…, classes]``, beyond what others can fill: ``[…]``."""
    return np.clip(left - filled, 0, None).sum(axis=-1)


def fill_empty_lists(
    groups: Sequence[Mapping[int, int]],
    rows: Sequence[int],
    quotas: Sequence[Mapping[int, int]],
    others: Sequence[Mapping[int, int]],
    training: Sequence[int],
) -> list[int]:
    """Give groups to lists that lack images of a class and have no group of it; return all groups' rows.

    Groups are moved, or exchanged for others, as long as that leaves fewer lists empty, or brings the counts
    nearer to the quotas (a local search). Training keeps some images of every class that it has any of.

    Args:
        groups: class → images of each group; earlier groups go first.
        rows: the list of each; one more than the last list for groups that are in none.
        quotas: for each list, class → images that it is to have.
        others: for each list and for none, class → images in none of these groups; in a list, they give way.
        training: the rows whose images are, or will be, in training.
    """
    rows = list(rows)
    inside: list[Counter[int]] = [Counter() for _ in others]
    for group, row in zip(groups, rows, strict=True):
        inside[row].update(group)
    lacking = {
        label
        for row, quota in enumerate(quotas)
        for label, count in quota.items()
        if not inside[row][label] and others[row].get(label, 0) < count
    }
    used = [place for place, group in enumerate(groups) if not lacking.isdisjoint(group)][:_MOST_GROUPS]
    if not used:
        return rows
    labels = sorted({label for place in used for label in groups[place]})
    fixed = [Counter(own) for own in others]
    for place in {*range(len(groups))}.difference(used):
        fixed[rows[place]].update(groups[place])
    search = _LocalSearch(
        _table([groups[place] for place in used], labels),
        np.array([rows[place] for place in used]),
        _table(fixed, labels),
        _table(quotas, labels),
        _table(others[:-1], labels),
        training,
    )
    search.run()
    for place, row in zip(used, search.rows.tolist(), strict=True):
        rows[place] = row
    return rows


def _table(counts: Sequence[Mapping[int, int]], labels: Sequence[int]) -> np.ndarray:
    table = [[own.get(label, 0) for label in labels] for own in counts]
    return np.array(table, np.int64).reshape(len(counts), len(labels))


@dataclass
class _LocalSearch:
    """The row of each group, and the moves that improve it. The last row is for groups in no list.

    ``counts`` and ``rows`` are of the groups, ``[groups, classes]`` and ``[groups]``. ``got`` starts with the
    images in none of them, ``[lists + 1, classes]``, of which ``yielding`` give way, ``[lists, classes]``.
    """

    counts: np.ndarray
    rows: np.ndarray
    got: np.ndarray
    quotas: np.ndarray
    yielding: np.ndarray
    training: Sequence[int]
    work: int = 0

    def __post_init__(self) -> None:
        np.add.at(self.got, self.rows, self.counts)
        # More than all deviations together: an empty list is worse than any of them.
        self.worst = int(self.quotas.sum() + self.got.sum()) + 1

    def run(self) -> None:
        """Move groups of the lacking classes into the lists, as long as that gains anything."""
        moving = True
        while moving:
            moving = False
            for to in reversed(range(len(self.quotas))):
                for label in np.flatnonzero(self._lacking(to)).tolist():
                    moving |= bool(self._lacking(to)[label]) and self._move_best(to, label)

    def _lacking(self, to: int) -> np.ndarray:
        """Return the classes of which a list lacks images and has no group."""
        inside = self.counts[self.rows == to].any(axis=0)
        return np.asarray((self.got[to] < self.quotas[to]) & ~inside)

    def _move_best(self, to: int, label: int) -> bool:
        """Make the best move of a group of the class, if it gains; an exchange only if nothing else does."""
        inside = np.flatnonzero(self.rows == to)[:_MOST_EXCHANGED].tolist()
        for exchanged in ([None], inside):
            best, group, swapped = 0, -1, None
            for origin in range(len(self.got)):
                groups = np.flatnonzero((self.rows == origin) & (self.counts[:, label] > 0))
                for back in exchanged if len(groups) and self.work < _MOST_COUNTS else []:
                    gains = self._gains(groups, origin, to, back)
                    first = int(gains.argmax())
                    if gains[first] > best:
                        best, group, swapped = int(gains[first]), int(groups[first]), back
            if best:
                origin = int(self.rows[group])
                self._move(group, to)
                if swapped is not None:
                    self._move(swapped, origin)
                return True
        return False

    def _move(self, group: int, to: int) -> None:
        self.got[self.rows[group]] -= self.counts[group]
        self.got[to] += self.counts[group]
        self.rows[group] = to

    def _gains(self, groups: np.ndarray, origin: int, to: int, back: int | None) -> np.ndarray:
        """Return the gain of moving each of some groups of one row."""
        change = self.counts[groups]
        self.work += change.size
        if back is not None:
            change = change - self.counts[back]
        costs = self._cost(to, self.got[to] + change) + self._cost(origin, self.got[origin] - change)
        gains = self._cost(to, self.got[to]) + self._cost(origin, self.got[origin]) - costs
        lost = change * ((origin in self.training) - (to in self.training))
        trained = self.got[self.training].sum(axis=0)
        gains[((trained > 0) & (trained - lost < 1)).any(axis=1)] = 0
        return gains

    def _cost(self, row: int, got: np.ndarray) -> np.ndarray:
        if row == len(self.quotas):
            return np.zeros(got.shape[:-1], np.int64)
        quotas, yielding = self.quotas[row], self.yielding[row]
        deviation = np.maximum(quotas - got, 0) + np.maximum(got - quotas - yielding, 0)
        empty = (got < 1) & (quotas > 0)
        return (deviation + empty * (self.worst * (_EMPTY + _LATER * row))).sum(axis=-1)
