"""Dealing groups to lists: never over, and exact where any way of dealing is."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.data.splits import allocate
from hubtune.data.splits.allocate import allocate_class, allocate_spanning


def fullest(sizes, rooms):
    """The most pictures that the rooms can hold, by trying everything."""
    states = {(0,) * len(rooms)}
    for size in sizes:
        states |= {
            (*state[:number], state[number] + size, *state[number + 1 :])
            for state in states
            for number, room in enumerate(rooms)
            if state[number] + size <= room
        }
    return max(map(sum, states))


def filled(sizes, dealt, lists):
    sums = Counter()
    for size, number in zip(sizes, dealt, strict=True):
        sums[number] += size
    return [sums[number] for number in range(lists)]


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 15), max_size=9),
    rooms=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    times=st.integers(1, 3),
)
def test_a_class_is_dealt_as_fully_as_any_way_could(sizes, rooms, times):
    sizes = [size * times for size in sizes]
    found = filled(sizes, allocate_class(sizes, rooms), len(rooms))
    assert all(count <= room for count, room in zip(found, rooms, strict=True))
    assert sum(found) == fullest(sizes, rooms)


def test_many_groups_are_dealt_exactly_with_little_work(monkeypatch):
    monkeypatch.setattr(allocate, "_MOST_SUMS", 1_000_000)
    sizes = [3 + 7 * number % 11 for number in range(30_000)]
    assert filled(sizes, allocate_class(sizes, [20_001, 40_003]), 2) == [20_001, 40_003]


def test_groups_of_one_go_as_their_lots_say():
    assert allocate_class([1] * 6, [2, 1]) == [0, 0, 1, None, None, None]


@settings(max_examples=50, deadline=None)
@given(
    groups=st.lists(
        st.dictionaries(st.integers(0, 3), st.integers(1, 6), min_size=2), min_size=1, max_size=30
    )
)
def test_groups_that_span_classes_never_make_a_list_too_long(groups):
    totals = Counter()
    for group in groups:
        totals.update(group)
    rooms = [{label: count // 5 for label, count in totals.items()} for _ in range(2)]
    sums = [Counter(), Counter()]
    for group, number in zip(groups, allocate_spanning(groups, rooms, {}), strict=True):
        if number is not None:
            sums[number].update(group)
    assert all(sums[number][label] <= room[label] for number, room in enumerate(rooms) for label in room)


def test_groups_that_span_classes_are_exchanged_until_the_counts_fit():
    # In the order of the lots, the first group fits and nothing goes beside it.
    groups = [{0: 3, 1: 2}, {0: 2, 1: 3}, {0: 2, 1: 1}, {0: 3, 1: 6}, {0: 10, 1: 10}]
    dealt = allocate_spanning(groups, [{0: 4, 1: 4}], {})
    assert [number for number, to in enumerate(dealt) if to == 0] == [1, 2]
