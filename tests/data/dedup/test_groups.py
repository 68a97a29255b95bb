"""Groups: union-find, keys in names, and merging."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.dedup.groups import (
    DuplicateGroup,
    connected_components,
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


def test_the_first_group_or_the_whole_match_is_the_key():
    for pattern in (r"/([a-z]+)_", r"[a-z]+(?=_)", r"/(?:(tom|rex)_|x)"):
        assert extract_keys(NAMES, pattern) == ["tom", "tom", "rex", None]
    assert groups_by_key(["a", None, "b", "a", None]) == [DuplicateGroup((0, 3), "given")]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("zzz", "fits none of the 4 names; a name is 'cat/tom_1.jpg'"),
        ("jpg", "puts all 4 pictures into one group, 'jpg'; a name is 'cat/tom_1.jpg'"),
        (".*", "makes no group: no two pictures have the same key; a name is 'cat/tom_1.jpg'"),
        ("a{9999999999}", "is not a regular expression: the repetition number is too large"),
        ("(", "is not a regular expression: missing ), unterminated subpattern at position 0"),
    ],
)
def test_patterns_that_form_no_groups_are_refused(pattern, message):
    with pytest.raises(UsageError) as caught:
        extract_keys(NAMES, pattern)
    assert str(caught.value) == f"--group-by '{pattern}' {message}"


def test_names_may_have_any_characters_and_a_pattern_without_end_is_stopped(monkeypatch):
    assert extract_keys(["图/一\udcff.jpg", "图/二.jpg", "b.jpg"], "(图)/") == ["图", "图", None]
    monkeypatch.setattr("hubtune.data.dedup.groups._SEARCH_SECONDS", 0.5)
    with pytest.raises(UsageError, match=r"--group-by '\(a\+\)\+\$' takes too long on these names: write it"):
        extract_keys(["a" * 60 + "!", "b"], "(a+)+$")


def test_the_loosest_relation_is_the_kind():
    groups = [((6, 9), "near"), ((0, 1), "equal"), ((1, 5), "given"), ((2, 5), "near"), ((7, 8), "equal")]
    merged = merge_groups(DuplicateGroup(*group) for group in groups)
    expected = [((0, 1, 2, 5), "given"), ((6, 9), "near"), ((7, 8), "equal")]
    assert [(group.members, group.kind) for group in merged] == expected
