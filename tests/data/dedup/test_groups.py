"""Groups: union-find, keys in names, and merging."""

import itertools
from collections import Counter

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


def test_the_loosest_relation_is_the_kind():
    groups = [((6, 9), "near"), ((0, 1), "equal"), ((1, 5), "given"), ((2, 5), "near"), ((7, 8), "equal")]
    merged = merge_groups(DuplicateGroup(*group) for group in groups)
    assert [(group.members, group.kind) for group in merged] == [
        ((0, 1, 2, 5), "given"),
        ((6, 9), "near"),
        ((7, 8), "equal"),
    ]


def test_expected_leaks_are_the_mean_of_all_divisions():
    parts = {0: ["train", "train", "validate", "test"], 1: ["train", "validate", "validate"]}
    lists = {
        name: {label: own.count(name) for label, own in parts.items()}
        for name in ("train", "validate", "test")
    }
    found = Counter()
    divisions = [*itertools.product(*map(itertools.permutations, parts.values()))]
    for (one, other, *_), (third, *_) in divisions:
        group = (one, other, third)
        found.update(part for part in group if part != "train" and "train" in group)
    leaks = expected_leaks([{0: 2, 1: 1}], lists, {0: 4, 1: 3})
    assert leaks == pytest.approx({name: count / len(divisions) for name, count in found.items()})
