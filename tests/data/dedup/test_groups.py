"""Groups: union-find, keys in names, and merging."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.dedup.groups import (
    DuplicateGroup,
    connected_components,
    expected_leaks,
    extract_keys,
    groups_by_key,
    merge_groups,
)
from hubtune.errors import UsageError

NAMES = ["cat/tom_1.jpg", "cat/tom_2.jpg", "dog/rex_1.jpg", "dog/x.jpg"]


def test_sets_with_a_common_member_are_one_component():
    assert connected_components([[5, 4], [1], [7, 2], [4, 7]]) == {1: 1, 2: 2, 4: 2, 5: 2, 7: 2}
    assert connected_components([["b", "c"], ["a", "b"], ["d"]]) == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert connected_components([]) == connected_components([[], []]) == {}


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), max_size=10))
def test_components_are_those_of_walking_from_set_to_set(sets):
    expected = {}
    for member in sorted(set(itertools.chain.from_iterable(sets))):
        reached = {member}
        while any(reached & set(members) and not reached >= set(members) for members in sets):
            reached.update(*(members for members in sets if reached & set(members)))
        expected[member] = min(reached)
    components = connected_components(sets)
    assert components == expected
    assert list(components) == sorted(components)


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (r"/([a-z]+)_", ["tom", "tom", "rex", None]),
        (r"[a-z]+_", ["tom_", "tom_", "rex_", None]),
        (r"/(?:(tom|rex)_|x)", ["tom", "tom", "rex", None]),
    ],
)
def test_the_first_group_or_the_whole_match_is_the_key(pattern, keys):
    assert extract_keys(NAMES, pattern) == keys


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("zzz", "fits none of the 4 names; a name is 'cat/tom_1.jpg'"),
        ("jpg", "puts all 4 pictures into one group, 'jpg'; a name is 'cat/tom_1.jpg'"),
        (".*", "makes no group: no two pictures have the same key; a name is 'cat/tom_1.jpg'"),
        ("(", "is not a regular expression: missing ), unterminated subpattern at position 0"),
    ],
)
def test_patterns_that_form_no_groups_are_refused(pattern, message):
    with pytest.raises(UsageError) as caught:
        extract_keys(NAMES, pattern)
    assert str(caught.value) == f"--group-by '{pattern}' {message}"


def test_images_of_one_key_are_a_group():
    assert groups_by_key(["a", None, "b", "a", None]) == [DuplicateGroup((0, 3), "given")]


@given(st.lists(st.lists(st.integers(0, 40), min_size=2, max_size=3, unique=True), max_size=40))
def test_merged_groups_are_the_components(members):
    merged = merge_groups(DuplicateGroup(tuple(sorted(each)), "near") for each in members)
    components = connected_components(members)
    expected = {first: [] for first in sorted(set(components.values()))}
    for member, first in components.items():
        expected[first].append(member)
    assert [group.members for group in merged] == [tuple(each) for each in expected.values()]


def test_the_loosest_relation_is_the_kind():
    groups = [
        DuplicateGroup((0, 1), "equal"),
        DuplicateGroup((1, 2), "given"),
        DuplicateGroup((2, 3), "near"),
        DuplicateGroup((5, 6), "near"),
    ]
    assert merge_groups(groups) == [DuplicateGroup((0, 1, 2, 3), "given"), DuplicateGroup((5, 6), "near")]


def test_expected_leaks_are_those_of_all_divisions():
    """Two of four images are a pair; two go to training, one to each other list."""
    leaks = expected_leaks([{0: 2}], {"train": {0: 2}, "validate": {0: 1}, "test": {0: 1}}, {0: 4})
    # Places 0 and 1 are in training, 2 and 3 in the other lists.
    places = list(itertools.permutations(range(4)))
    share = sum({one, other} in ({0, 2}, {1, 2}) for one, other, *_ in places) / len(places)
    assert leaks == pytest.approx({"validate": share, "test": share})
