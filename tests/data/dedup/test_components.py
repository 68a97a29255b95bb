"""What hangs together, directly or through others."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.dedup.groups import connected_components


def test_sets_with_a_common_member_are_one():
    assert connected_components([[5, 4], [1], [7, 2], [4, 7]]) == {1: 1, 2: 2, 4: 2, 5: 2, 7: 2}


def test_names_hang_together_as_numbers_do():
    assert connected_components([["b", "c"], ["a", "b"], ["d"]]) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_nothing_hangs_together_with_nothing():
    assert connected_components([]) == {}
    assert connected_components([[], []]) == {}


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), max_size=10))
def test_it_says_what_walking_from_set_to_set_says(sets):
    expected = {}
    for member in sorted(set(itertools.chain.from_iterable(sets))):
        reached = {member}
        while any(reached & set(members) and not reached >= set(members) for members in sets):
            reached.update(*(members for members in sets if reached & set(members)))
        expected[member] = min(reached)
    found = connected_components(sets)
    assert found == expected
    assert list(found) == sorted(found)
