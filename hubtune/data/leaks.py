"""Pictures that belong together because they are copies: byte-equal, or one picture changed.

Found without any network: changes of size, JPEG compression, brightness, mirroring, quarter turns, rotation
by up to 15°, and crops to 80 % of the sides. ``docs/near-duplicates.md`` says how reliably.
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
from hubtune.data.descriptors import find_candidates
from hubtune.data.fingerprint import Fingerprints
from hubtune.data.scan import Picture

# Fixed on TrashNet's photos, of which different things on one ground reach 0.886.
_STRUCTURE = 0.895
# Of pictures that are smaller than their fingerprint, where compression weighs more; but different ones reach
# 0.72 only (CIFAR-10).
_STRUCTURE_OF_SMALL = 0.83
_SMALL = 64  # pixels, the smaller side
_COLOUR = 12.0  # brightness that blows out half of a picture changes its colours by up to 10


@dataclass(frozen=True)
class Group:
    """Pictures that must stay on one side of a split.

    Attributes:
        members: their places in the sequence that was searched, rising.
        kind: ``equal``: the same bytes; ``near``: one picture, changed; ``given``: the source says so.
    """

    members: tuple[int, ...]
    kind: Literal["equal", "near", "given"]


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


def _near(distinct: list[list[int]], pictures: Sequence[Picture]) -> list[int]:
    """A number for each distinct picture, equal for those that are copies of one another."""
    printed = [
        (number, facts.fingerprint)
        for number, places in enumerate(distinct)
        if (facts := pictures[places[0]].facts) is not None
    ]
    if not printed:
        return list(range(len(distinct)))
    numbers = np.array([number for number, _ in printed])
    prints = Fingerprints.unpack([content for _, content in printed])
    pairs = find_candidates(prints)
    structure, colour = likeness(prints, pairs)
    small = prints.shapes.min(axis=1) < _SMALL
    least = np.where(small[pairs.picture] | small[pairs.copy], _STRUCTURE_OF_SMALL, _STRUCTURE)
    same = (structure > least) & (colour < _COLOUR)
    edges = numbers[pairs.picture[same]], numbers[pairs.copy[same]]
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(len(distinct), len(distinct)))
    return connected_components(graph, directed=False)[1].tolist()
