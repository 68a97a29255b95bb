"""What keeps pictures together: keys in names, and groups that hang together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.dedup.groups import DuplicateGroup, extract_keys, groups_by_key, merge_groups
from hubtune.errors import UsageError

NAMES = ["cat/tom_1.jpg", "cat/tom_2.jpg", "dog/rex_1.jpg", "dog/x.jpg"]


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
        ("zzz", "--group-by 'zzz' fits none of the 4 names; a name is 'cat/tom_1.jpg'"),
        (
            "jpg",
            "--group-by 'jpg' puts all 4 pictures into one group, 'jpg'; a name is 'cat/tom_1.jpg'",
        ),
        (
            ".*",
            "--group-by '.*' makes no group: no two pictures have the same key; a name is 'cat/tom_1.jpg'",
        ),
        (
            "(",
            "--group-by '(' is no regular expression: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_patterns_that_make_no_groups_are_refused(pattern, message):
    with pytest.raises(UsageError) as caught:
        extract_keys(NAMES, pattern)
    assert str(caught.value) == message


def test_pictures_of_one_key_are_a_group():
    assert groups_by_key(["a", None, "b", "a", None]) == [DuplicateGroup((0, 3), "given")]


@given(st.lists(st.lists(st.integers(0, 40), min_size=2, max_size=3, unique=True), max_size=40))
def test_groups_hang_together_through_any_chain(members):
    found = merge_groups(DuplicateGroup(tuple(sorted(places)), "near") for places in members)
    # The slow way: join two sets with a common member until there are none.
    sets = [set(places) for places in members]
    again = True
    while again:
        again = False
        for one in sets:
            for other in sets:
                if one is not other and one & other:
                    one |= other
                    sets.remove(other)
                    again = True
                    break
            if again:
                break
    assert [group.members for group in found] == sorted(tuple(sorted(one)) for one in sets)


def test_the_loosest_tie_names_the_kind():
    groups = [
        DuplicateGroup((0, 1), "equal"),
        DuplicateGroup((1, 2), "given"),
        DuplicateGroup((2, 3), "near"),
        DuplicateGroup((5, 6), "near"),
    ]
    assert [(group.members, group.kind) for group in merge_groups(groups)] == [
        ((0, 1, 2, 3), "given"),
        ((5, 6), "near"),
    ]
