"""Groups are allocated to lists: never over, and exact where any way of allocating is."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.data.splits import allocate
from hubtune.data.splits.allocate import allocate_class


def fullest(sizes, rooms):
    """The most images that the rooms can hold, by trying everything."""
    states = {(0,) * len(rooms)}
    for size in sizes:
        states |= {
            (*state[:number], state[number] + size, *state[number + 1 :])
            for state in states
            for number, room in enumerate(rooms)
            if state[number] + size <= room
        }
    return max(map(sum, states))


def filled(sizes, rooms):
    sums = Counter()
    for size, number in zip(sizes, allocate_class(sizes, rooms), strict=True):
        sums[number] += size
    return [sums[number] for number in range(len(rooms))]


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(1, 15), max_size=9),
    rooms=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    times=st.integers(1, 3),
)
def test_a_class_fills_its_lists_as_fully_as_any_way_could(sizes, rooms, times):
    sizes = [size * times for size in sizes]
    found = filled(sizes, rooms)
    assert all(count <= room for count, room in zip(found, rooms, strict=True))
    assert sum(found) == fullest(sizes, rooms)


def test_many_groups_are_allocated_exactly_with_little_work(monkeypatch):
    monkeypatch.setattr(allocate, "_MOST_SUMS", 1_000_000)
    sizes = [3 + 7 * number % 11 for number in range(30_000)]
    assert filled(sizes, [20_001, 40_003]) == [20_001, 40_003]
