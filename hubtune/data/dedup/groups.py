"""Groups of images that must stay in one list: union-find, groups by key, and the leaks they prevent."""

import json
import math
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeVar

from hubtune.errors import UsageError
from hubtune.text import escaped

COPY_KINDS = ("equal", "near")
GROUP_KINDS = (*COPY_KINDS, "burst", "given")
"""Kinds of groups, from the closest relation to the loosest."""

Member = TypeVar("Member", int, str)

# Seconds for all names of a pattern, and for each name in addition.
_SEARCH_SECONDS, _SEARCH_SECONDS_PER_NAME = 5.0, 1e-4
# Searched, not matched from the start: names begin with the folder of the class.
_SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
matches = map(re.compile(pattern).search, names)
json.dump([match[min(1, match.re.groups)] if match else None for match in matches], sys.stdout)
"""


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that must stay in one list of a split.

    Attributes:
        members: positions in the sequence that was searched, ascending.
        kind: ``equal`` for the same bytes, ``near`` for changed copies of one image, ``burst`` for other
            images of the same object, ``given`` for a group that the source or a pattern defines.
    """

    members: tuple[int, ...]
    kind: Literal["equal", "near", "burst", "given"]


def connected_components(sets: Iterable[Iterable[Member]]) -> dict[Member, Member]:
    """Join sets with a common member, by union-find (Galler & Fischer, CACM 7, 1964).

    The result is the smallest member of the component of each member, in ascending order.
    """
    parent: dict[Member, Member] = {}

    def find(member: Member) -> Member:
        while parent[member] != member:
            # Path halving keeps the trees flat: near-constant time per look-up, and no recursion.
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for members in sets:
        root: Member | None = None
        for member in members:
            own = find(parent.setdefault(member, member))
            if root is None:
                root = own
            # The smaller root wins, so that the result does not depend on the order of the sets.
            root, other = min(root, own), max(root, own)
            parent[other] = root
    return {member: find(member) for member in sorted(parent)}


def groups_by_key(keys: Sequence[str | None]) -> list[DuplicateGroup]:
    """Group images of the same key; ``None`` is the key of an image without a group."""
    members = defaultdict(list)
    for index, key in enumerate(keys):
        if key is not None:
            members[key].append(index)
    return [DuplicateGroup(tuple(indices), "given") for indices in members.values() if len(indices) > 1]


def extract_keys(names: Sequence[str], pattern: str) -> list[str | None]:
    """Extract a group key from each image name: the first group of a regular expression, or the whole match.

    Raises:
        UsageError: if it is not a regular expression, takes more than some seconds, or as :func:`check_keys`.

    Example:
        >>> extract_keys(["cat/tom_1.jpg", "cat/tom_2.jpg", "cat/x.jpg"], r"/([a-z]+)_")
        ['tom', 'tom', None]
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--group-by '{pattern}' is not a regular expression: {error}") from error
    keys = _search(names, pattern)
    check_keys(keys, f"--group-by '{pattern}'", names)
    return keys


def _search(names: Sequence[str], pattern: str) -> list[str | None]:
    # The time of `(a+)+$` doubles with each letter, and Python's re has no limit. Only a process can be ended
    # on every system; another engine would read some patterns differently.
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SEARCH],
            input=json.dumps([pattern, list(names)]),
            capture_output=True,
            check=True,
            text=True,
            timeout=_SEARCH_SECONDS + _SEARCH_SECONDS_PER_NAME * len(names),
        )
    except subprocess.SubprocessError as error:  # the time is over, or the memory full
        raise UsageError(
            f"--group-by '{pattern}' takes too long on these names: write it without a repetition inside a "
            "repetition, such as (a+)+"
        ) from error
    keys: list[str | None] = json.loads(done.stdout)
    return keys


def check_keys(keys: Sequence[str | None], origin: str, names: Sequence[str]) -> None:
    """Raise UsageError, with the keys' origin, if no image has a key, all have the same, or no two do."""
    counts = Counter(key for key in keys if key is not None)
    example = f"; a name is '{escaped(names[0])}'" if names else ""
    if not counts:
        raise UsageError(f"{origin} fits none of the {len(names):,} names{example}")
    # One group of all images would leave nothing for the other lists.
    if len(counts) == 1 and counts.total() == len(keys):
        raise UsageError(
            f"{origin} puts all {len(names):,} pictures into one group, "
            f"'{escaped(next(iter(counts)))}'{example}"
        )
    if max(counts.values()) == 1:
        raise UsageError(f"{origin} makes no group: no two pictures have the same key{example}")


def merge_groups(groups: Iterable[DuplicateGroup]) -> list[DuplicateGroup]:
    """Join groups with a common member; ordered by first members, and of the loosest kind of their parts."""
    groups = sorted(groups, key=lambda group: GROUP_KINDS.index(group.kind))
    component = connected_components(group.members for group in groups)
    members = defaultdict(list)
    for index, first in component.items():
        members[first].append(index)
    loosest = {component[group.members[0]]: group.kind for group in groups}
    # A component is named by its smallest member, so sorting the names orders the groups by first members.
    return [DuplicateGroup(tuple(members[first]), loosest[first]) for first in sorted(members)]


def expected_leaks(
    groups: Iterable[Mapping[int, int]], lists: Mapping[str, Mapping[int, int]], totals: Mapping[int, int]
) -> dict[str, float]:
    """Expected number of leaked images if a random split ignored the groups.

    All divisions of each class into lists of these sizes are equally likely, so the probability that an image
    has no group mate in training is hypergeometric. ``groups`` have class → number of members each, ``lists``
    class → number of images, and ``totals`` the same of all lists and none. The result is without training.
    """
    train = lists["train"]
    leaks = {name: 0.0 for name in lists if name != "train"}
    for group in groups:
        logs = [
            _log_probability_of_none(totals[label], train.get(label, 0), own) for label, own in group.items()
        ]
        # Sums of the others before and behind each class: a group may have images of thousands of classes.
        before, behind = ([*accumulate(part, initial=0.0)] for part in (logs, reversed(logs)))
        for place, (label, count) in enumerate(group.items(), start=1):
            # The image itself is not in training, so it takes none of the places open to its mates.
            own = _log_probability_of_none(totals[label] - 1, train.get(label, 0), count - 1)
            log_none = before[place - 1] + own + behind[len(logs) - place]
            for name in leaks:
                share = lists[name].get(label, 0) / totals[label]
                # expm1 keeps precision where the probability of a leak is tiny.
                leaks[name] += count * share * -math.expm1(log_none)
    return leaks


def _log_probability_of_none(total: int, chosen: int, mates: int) -> float:
    """Log-probability that none of ``mates`` of ``total`` images is among the ``chosen`` ones."""
    # C(total − chosen, mates) / C(total, mates), by log-gamma: factorials of whole classes overflow floats.
    free = total - chosen
    if mates > free:
        return -math.inf
    lgamma = math.lgamma
    return lgamma(free + 1) - lgamma(free - mates + 1) - lgamma(total + 1) + lgamma(total - mates + 1)
