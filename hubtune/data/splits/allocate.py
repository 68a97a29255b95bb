"""Dealing groups of different sizes to lists, so that the counts asked for come out exactly where they can.

Within a class this is a subset-sum problem for several sums at once, and is solved as one: most groups are
dealt in the order of their lots, and the last of each list are chosen by dynamic programming (Bellman, "Notes
on the theory of dynamic programming IV: maximization over discrete sets", 1956), over more and more of them
until the counts are exact or all has been tried. Groups that span classes are dealt by lot, too, and
exchanged one for others as long as that brings the counts nearer.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

# Pictures of each list that the dynamic programming decides at first; four times as many at each new try.
_FIRST_MARGIN = 32
# Sums times groups that it may look at: a second or so.
_MOST_WORK = 300_000_000
# Groups that may be put in, groups that may be taken out, and exchanges a list: a second or so.
_MOST_PUT_IN = 1500
_MOST_TAKEN_OUT = 100
_MOST_EXCHANGES = 100

Dealt = list[int | None]
"""For each group, the number of the list that it goes to, or ``None``."""


def allocate_class(sizes: Sequence[int], rooms: Sequence[int]) -> Dealt:
    """Deal the groups of one class.

    Args:
        sizes: pictures in each group, in the order of the lots.
        rooms: pictures that each list is to have.

    Returns:
        A list for each group, such that no list gets more than asked, and all exactly as many where that is
        possible; else as near as was found.
    """
    dealt = _in_turn(sizes, rooms, 0)
    lack = _lack(sizes, rooms, dealt)
    divisor = math.gcd(*sizes)
    # Where sizes differ, sums that they have no common divisor for may still be out of reach: that is tried.
    least = sum(room % divisor for room in rooms) if divisor else 0
    enough = sum(sizes) - max(sizes, default=0) >= sum(rooms)
    margin = _FIRST_MARGIN
    while lack > (least if enough else 0):
        tried = _in_turn(sizes, rooms, margin)
        if not _finish(sizes, rooms, tried):
            break
        if (now := _lack(sizes, rooms, tried)) < lack:
            dealt, lack = tried, now
        if margin >= max(rooms):  # all groups have been looked at
            break
        margin *= 4
    return dealt


def _in_turn(sizes: Sequence[int], rooms: Sequence[int], margin: int) -> Dealt:
    """Fill list after list in the order of the lots, passing over what does not fit, but for a margin."""
    dealt: Dealt = [None] * len(sizes)
    for number, room in enumerate(rooms):
        left = room - min(margin, room)
        for place, size in enumerate(sizes):
            if left <= 0:
                break
            if size <= left and dealt[place] is None:
                dealt[place] = number
                left -= size
    return dealt


def _lack(sizes: Sequence[int], rooms: Sequence[int], dealt: Dealt) -> int:
    return sum(rooms) - sum(size for size, number in zip(sizes, dealt, strict=True) if number is not None)


def _finish(sizes: Sequence[int], rooms: Sequence[int], dealt: Dealt) -> bool:
    """Fill what room is left as exactly as can be; false where that would be too much work."""
    left = list(rooms)
    for size, number in zip(sizes, dealt, strict=True):
        if number is not None:
            left[number] -= size
    of_size: Counter[int] = Counter()
    places = []
    for place, size in enumerate(sizes):
        # More of one size than fit cannot help.
        if dealt[place] is None and of_size[size] < sum(room // size for room in left):
            of_size[size] += 1
            places.append(place)
    shape = [room + 1 for room in left]
    if math.prod(shape) * len(places) > _MOST_WORK:
        return False
    for place, number in zip(places, _best_sums([sizes[place] for place in places], left), strict=True):
        dealt[place] = number
    return True


def _best_sums(sizes: Sequence[int], rooms: Sequence[int]) -> Dealt:
    """Choose groups whose sizes add up to each room, or with the least lack in all."""
    shape = tuple(room + 1 for room in rooms)
    start = (0,) * len(rooms)
    reached = np.zeros(shape, bool)
    reached[start] = True
    group_of = np.full(shape, -1, np.int32)  # by which the sums were reached first,
    list_of = np.zeros(shape, np.int8)  # in which list
    for number, size in enumerate(sizes):
        before = reached.copy()
        for axis, room in enumerate(rooms):
            if size > room:
                continue
            ahead = (slice(None),) * axis
            to, origin = (*ahead, slice(size, None)), (*ahead, slice(None, -size))
            new = before[origin] & ~reached[to]
            group_of[to][new] = number
            list_of[to][new] = axis
            reached[to] |= new
        if reached[tuple(rooms)]:
            break
    lacks = sum(np.ogrid[tuple(slice(room, -1, -1) for room in rooms)], start=np.zeros((), np.int64))
    sums = [int(axis) for axis in np.unravel_index(np.where(reached, lacks, lacks.max() + 1).argmin(), shape)]
    dealt: Dealt = [None] * len(sizes)
    while tuple(sums) != start:
        number, axis = int(group_of[tuple(sums)]), int(list_of[tuple(sums)])
        dealt[number] = axis
        sums[axis] -= sizes[number]
    return dealt


def allocate_spanning(
    groups: Sequence[Mapping[int, int]], rooms: Sequence[Mapping[int, int]], others: Mapping[int, int]
) -> Dealt:
    """Deal groups that span classes; what they leave to fill is for the groups inside classes.

    Args:
        groups: class → pictures in each group, in the order of the lots.
        rooms: class → pictures that each list is to have.
        others: class → pictures that lie in no such group.

    Returns:
        A list for each group, such that no list gets more of a class than asked.
    """
    own: Counter[int] = Counter()
    for group in groups:
        own.update(group)
    # Of each class as large a share of these groups goes to a list as of all its pictures.
    shares = [
        {
            label: math.ceil(room.get(label, 0) * count / (count + others.get(label, 0)))
            for label, count in own.items()
        }
        for room in rooms
    ]
    dealt: Dealt = [None] * len(groups)
    for number, share in enumerate(shares):
        for place, group in enumerate(groups):
            if dealt[place] is None and all(count <= share[label] for label, count in group.items()):
                dealt[place] = number
                for label, count in group.items():
                    share[label] -= count
    _exchange(groups, rooms, dealt, others)
    return dealt


def _exchange(
    groups: Sequence[Mapping[int, int]],
    rooms: Sequence[Mapping[int, int]],
    dealt: Dealt,
    others: Mapping[int, int],
) -> None:
    """Bring lists nearer to their counts: take one group out, or none, and put others in."""
    labels = sorted({label for group in groups for label in group})
    column_of = {label: column for column, label in enumerate(labels)}
    used = range(min(len(groups), _MOST_PUT_IN))
    counts = np.zeros((len(used), len(labels)), np.int64)
    for row in used:
        for label, count in groups[row].items():
            counts[row, column_of[label]] = count
    for number, room in enumerate(rooms):
        rest = Counter({label: room.get(label, 0) for label in labels})
        for group, to in zip(groups, dealt, strict=True):
            if to == number:
                rest.subtract(group)
        left = np.array([rest[label] for label in labels], np.int64)
        # What the pictures in no group can fill is no lack.
        filled = np.array([others.get(label, 0) // len(rooms) for label in labels], np.int64)
        for _ in range(_MOST_EXCHANGES):
            lack = int(np.clip(left - filled, 0, None).sum())
            if not lack:
                break
            free = [place for place in used if dealt[place] is None]
            best: tuple[int, int | None, list[int]] = (lack, None, [])
            inside = [place for place in used if dealt[place] == number]
            for out in [None, *inside[:_MOST_TAKEN_OUT]]:
                room_now = left if out is None else left + counts[out]
                taken, lack_then = _refill(counts, free, room_now, filled)
                if lack_then < best[0]:
                    best = (lack_then, out, taken)
            lack_then, out, taken = best
            if lack_then == lack:
                break
            if out is not None:
                dealt[out] = None
                left = left + counts[out]
            for place in taken:
                dealt[place] = number
                left = left - counts[place]


def _refill(
    counts: np.ndarray, free: Sequence[int], left: np.ndarray, filled: np.ndarray
) -> tuple[list[int], int]:
    """Put groups into the room left, that which fills most of it first; returns them, and the lack then."""
    taken: list[int] = []
    candidates = np.asarray(free, np.int64)
    while len(candidates):
        rest = left - counts[candidates]
        fits = (rest >= 0).all(axis=1)
        candidates, rest = candidates[fits], rest[fits]
        if not len(candidates):
            break
        best = int(np.clip(rest - filled, 0, None).sum(axis=1).argmin())
        if rest[best].sum() == left.sum():
            break
        taken.append(int(candidates[best]))
        left = rest[best]
        candidates = np.delete(candidates, best)
    return taken, int(np.clip(left - filled, 0, None).sum())
