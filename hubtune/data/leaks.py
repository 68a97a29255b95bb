"""Pictures that belong together: byte-equal, one picture changed, or another picture of the same thing.

Copies are found without any network, whatever was done to them: a change of size or brightness, JPEG
compression, mirroring, quarter turns, rotation by up to 15°, a crop to 80 % of the sides.
``docs/near-duplicates.md`` says how reliably.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hubtune.data.alignment import likeness
from hubtune.data.descriptors import Candidates, find_candidates
from hubtune.data.fingerprint import Fingerprints
from hubtune.data.scan import Picture

# Fixed on TrashNet's photos, of which different things on one ground reach 0.886.
_STRUCTURE = 0.895
# Of pictures that are smaller than their fingerprint, where compression weighs more; but different ones reach
# 0.66 only (CIFAR-10).
_STRUCTURE_OF_SMALL = 0.83
_SMALL = 64  # pixels, the smaller side
# Of pictures that are both smaller, such as written digits, different ones can be bent into one another.
_TELLING = 32
# Of TrashNet's 600 photos four pairs exceed this, all of one thing; of 1,000 pictures of CIFAR-10 none, but
# different things reach 0.75.
_BURST = 0.8
_FEWEST_FOR_BURSTS = 30
_ROWS_AT_ONCE = 1024
_COLOUR = 12.0  # brightness that blows out half of a picture changes its colours by up to 10


@dataclass(frozen=True)
class Group:
    """Pictures that must stay on one side of a split.

    Attributes:
        members: their places in the sequence that was searched, rising.
        kind: ``equal``: the same bytes; ``near``: one picture, changed; ``burst``: other pictures of one
            thing; ``given``: the source says so.
    """

    members: tuple[int, ...]
    kind: Literal["equal", "near", "burst", "given"]


def find_groups(pictures: Sequence[Picture]) -> list[Group]:
    """Find the groups of copies; every picture is in at most one.

    Args:
        pictures: those without facts take part with their sums only.

    Returns:
        Groups of at least two, in the order of their first members; ``equal`` where all have the same bytes.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        copies[picture.sha256].append(place)
    distinct = list(copies.values())
    labels = _near(distinct, pictures)
    members: dict[int, list[list[int]]] = defaultdict(list)
    for places, label in zip(distinct, labels, strict=True):
        members[label].append(places)
    groups = [
        Group(tuple(sorted(chain.from_iterable(parts))), "equal" if len(parts) == 1 else "near")
        for parts in members.values()
    ]
    return sorted((group for group in groups if len(group.members) > 1), key=lambda group: group.members)


def find_bursts(features: np.ndarray) -> list[Group]:
    """Find pictures of the same thing, by what a pretrained network sees in them; copies are among them.

    Args:
        features: pooled features ``[N, width]``; rows with nan belong to nothing.

    Returns:
        Groups of at least two, in the order of their first members; none where there are fewer than 30
        pictures, among which it cannot be told what is common to all of them.
    """
    known = np.flatnonzero(np.isfinite(features).all(axis=1))
    if len(known) < _FEWEST_FOR_BURSTS:
        return []
    # What all pictures have in common, such as a white ground, makes none of them alike.
    rows = features[known] - features[known].mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    found = [np.empty((0, 2), int)]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        alike = np.argwhere(rows[start : start + _ROWS_AT_ONCE] @ rows[start:].T > _BURST) + start
        found.append(alike[alike[:, 0] < alike[:, 1]])
    one, other = np.concatenate(found).T
    members: dict[int, list[int]] = defaultdict(list)
    for place, label in zip(known.tolist(), _connected(len(rows), one, other), strict=True):
        members[label].append(place)
    return [Group(tuple(places), "burst") for places in members.values() if len(places) > 1]


def _near(distinct: list[list[int]], pictures: Sequence[Picture]) -> list[int]:
    """A number for each distinct picture, equal for those that are copies of one another."""
    printed = [
        (number, facts)
        for number, places in enumerate(distinct)
        if (facts := pictures[places[0]].facts) is not None
    ]
    numbers = np.array([number for number, _ in printed], int)
    prints = Fingerprints([facts.fingerprint for _, facts in printed])
    sides = np.array([min(facts.width, facts.height) for _, facts in printed], int)
    found = find_candidates(prints)
    telling = np.maximum(sides[found.picture], sides[found.copy]) >= _TELLING
    pairs = Candidates(*(column[telling] for column in found))
    structure, colour = likeness(prints, pairs)
    small = np.minimum(sides[pairs.picture], sides[pairs.copy]) < _SMALL
    least = np.where(small, _STRUCTURE_OF_SMALL, _STRUCTURE)
    same = (structure > least) & (colour < _COLOUR)
    return _connected(len(distinct), numbers[pairs.picture[same]], numbers[pairs.copy[same]])


def _connected(count: int, one: np.ndarray, other: np.ndarray) -> list[int]:
    """A number for each of so many, equal for those that pairs connect; in the order of first members."""
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1].tolist()
