"""What keeps pictures together: copies that were found, and what names or tables say of them."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hubtune.data.dedup.components import component_of
from hubtune.data.dedup.duplicates import DuplicateGroup
from hubtune.errors import UsageError

COPIES = ("equal", "near")
KINDS = (*COPIES, "burst", "given")
"""Of groups, from the closest tie to the loosest."""


def given_groups(keys: Sequence[str | None]) -> list[DuplicateGroup]:
    """The groups of pictures that have a key in common.

    Args:
        keys: of each picture; ``None`` for one that stands alone.
    """
    members = defaultdict(list)
    for place, key in enumerate(keys):
        if key is not None:
            members[key].append(place)
    return [DuplicateGroup(tuple(places), "given") for places in members.values() if len(places) > 1]


def keys_by_pattern(names: Sequence[str], pattern: str) -> list[str | None]:
    """Read from each name what its picture belongs to.

    Args:
        names: of the pictures, with ``/``.
        pattern: a regular expression that is searched for in the names; its first group, or else the whole
            match, is the key.

    Raises:
        UsageError: if it is no regular expression, or says the same of all pictures, or nothing of any.

    Example:
        >>> keys_by_pattern(["cat/tom_1.jpg", "cat/tom_2.jpg", "cat/x.jpg"], r"/([a-z]+)_")
        ['tom', 'tom', None]
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise UsageError(f"--group-by '{pattern}' is no regular expression: {error}") from error
    keys: list[str | None] = []
    for name in names:
        match = search(name)
        keys.append(match[min(1, match.re.groups)] if match else None)
    check_keys(keys, f"--group-by '{pattern}'", names)
    return keys


def check_keys(keys: Sequence[str | None], what: str, names: Sequence[str]) -> None:
    """Refuse keys that make no groups worth the name.

    Args:
        keys: of the pictures.
        what: where they come from, in words.
        names: of the pictures, of which one is shown.

    Raises:
        UsageError: if no picture has a key, or all have the same, or no two.
    """
    times = Counter(key for key in keys if key is not None)
    like = f"; a name is {names[0]!r}" if names else ""
    if not times:
        raise UsageError(f"{what} fits none of the {len(names):,} names{like}")
    if len(times) == 1 and times.total() == len(keys):
        raise UsageError(
            f"{what} puts all {len(names):,} pictures into one group, {next(iter(times))!r}{like}"
        )
    if max(times.values()) == 1:
        raise UsageError(f"{what} makes no group: no two pictures have the same key{like}")


def merge_groups(groups: Iterable[DuplicateGroup]) -> list[DuplicateGroup]:
    """Join groups that have a member in common.

    Returns:
        Groups without a common member, in the order of their first members; the kind of each is the loosest
        of those that it is made of.
    """
    groups = list(groups)
    first_of = component_of(group.members for group in groups)
    members = defaultdict(list)
    for place, first in first_of.items():
        members[first].append(place)
    loosest: dict[int, DuplicateGroup] = {}
    for group in groups:
        first = first_of[group.members[0]]
        if KINDS.index(group.kind) >= KINDS.index(loosest.setdefault(first, group).kind):
            loosest[first] = group
    return [DuplicateGroup(tuple(members[first]), loosest[first].kind) for first in sorted(members)]


def expected_leaks(
    groups: Iterable[Mapping[int, int]],
    lists: Mapping[str, Mapping[int, int]],
    totals: Mapping[int, int],
) -> dict[str, float]:
    """How many pictures a random split would have on other sides than pictures of their group.

    Every division of each class into lists of these sizes is as likely as any other; the chance that a
    picture has no mate in training is hypergeometric.

    Args:
        groups: class → members of each group.
        lists: list → class → its pictures in it.
        totals: class → its pictures in all lists, and in none.

    Returns:
        For each list but training, the expected number of its pictures with a mate in training.
    """
    train = lists["train"]
    found = {name: 0.0 for name in lists if name != "train"}
    for group in groups:
        for label, count in group.items():
            # The places that the mates may have, once this picture's is known not to be in training.
            log_none = sum(
                _log_missed(totals[other] - (other == label), train.get(other, 0), mates - (other == label))
                for other, mates in group.items()
            )
            for name in found:
                share = lists[name].get(label, 0) / totals[label]
                found[name] += count * share * -math.expm1(log_none)
    return found


def _log_missed(places: int, taken: int, mates: int) -> float:
    """Logarithm of the chance that none of the mates, put into different places, has one of those taken."""
    free = places - taken
    if mates > free:
        return -math.inf
    return (
        math.lgamma(free + 1)
        - math.lgamma(free - mates + 1)
        - math.lgamma(places + 1)
        + math.lgamma(places - mates + 1)
    )
