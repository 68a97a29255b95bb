"""Pictures that belong together: byte-equal, one picture changed, or another picture of the same thing.

Copies are found without any network, whatever was done to them: a change of size or brightness, JPEG
compression, mirroring, quarter turns, rotation by up to 15°, a crop to 80 % of the sides.
``docs/near-duplicates.md`` says how reliably.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import PIL

from hubtune.data.dedup.candidates import CandidatePairs, find_candidates
from hubtune.data.dedup.components import component_of
from hubtune.data.dedup.registration import likeness
from hubtune.data.listing import ImageEntry
from hubtune.data.scan import fingerprint
from hubtune.data.scan.fingerprint import Fingerprints
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.scan_cache import ScanCache

VERSION = 2
"""Raised when other pairs come to be copies."""

# Fixed on one half of TrashNet's photos and on drawn digits. 97 % of copies are laid on without any bend;
# different pictures seldom are: of those, photos reach 0.86, drawn digits of 96 pixels 0.85.
_BEND = 0.03
_STRUCTURE = 0.885
# Of pictures that are smaller than their fingerprint, where compression weighs more; but different ones reach
# 0.66 only (CIFAR-10).
_STRUCTURE_OF_SMALL = 0.8
_SMALL = 64  # pixels, the smaller side
# Bent, different photos on one ground reach 0.89, drawn digits 0.94; and where little is left after they
# were brightened, shadows and gleams can be bent into one another perfectly.
_STRUCTURE_OF_BENT = 0.95
_LEFT_OF_BENT = 1 / 3
_BEND_OF_GRADIENTS = 0.01  # different shadows on white paper reach 0.014
# Copies of smooth pictures exceed this; different written digits, enlarged, reach 0.98.
_STRUCTURE_OF_SMOOTH = 0.99
# Of pictures that are both smaller, such as written digits, different ones are alike without any bend.
_TELLING = 32  # pixels, the smaller side
# Of TrashNet's 600 photos four pairs exceed this, all of one thing; of 1,000 pictures of CIFAR-10 none, but
# different things reach 0.75.
_BURST = 0.8
_FEWEST_FOR_BURSTS = 30
_ROWS_AT_ONCE = 1024
_COLOUR = 12.0  # brightness that blows out half of a picture changes its colours by up to 10, seldom more


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that must stay on one side of a split.

    Attributes:
        members: their places in the sequence that was searched, rising.
        kind: ``equal``: the same bytes; ``near``: one picture, changed; ``burst``: other pictures of one
            thing; ``given``: the source says so.
    """

    members: tuple[int, ...]
    kind: Literal["equal", "near", "burst", "given"]


def find_groups(images: Sequence[ImageEntry]) -> list[DuplicateGroup]:
    """Find the groups of copies; every picture is in at most one.

    What the search finds is kept beside what scans have noted, and the same pictures are not searched again.

    Args:
        images: those without facts take part with their sums only.

    Returns:
        Groups of at least two, in the order of their first members; ``equal`` where all have the same bytes.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        copies[image.sha256].append(place)
    facts = {image.sha256: image.info for image in images if image.info is not None}
    groups: dict[str, list[list[int]]] = defaultdict(list)
    for own, first in component_of([*zip(copies), *_near(facts)]).items():
        groups[first].append(copies[own])
    found = [
        DuplicateGroup(tuple(sorted(chain.from_iterable(parts))), "equal" if len(parts) == 1 else "near")
        for parts in groups.values()
    ]
    return sorted((group for group in found if len(group.members) > 1), key=lambda group: group.members)


def find_bursts(features: np.ndarray) -> list[DuplicateGroup]:
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
    groups: dict[int, list[int]] = defaultdict(list)
    for place, first in component_of(np.concatenate(found).tolist()).items():
        groups[first].append(int(known[place]))
    return [DuplicateGroup(tuple(places), "burst") for places in groups.values()]


def _near(facts: Mapping[str, ImageInfo]) -> list[tuple[str, str]]:
    """The pairs of pictures that are copies of one another, by their sums; kept for the next time."""
    sums = sorted(facts)
    key = hashlib.sha256(repr((VERSION, fingerprint.VERSION, PIL.__version__, sums)).encode()).digest()
    with ScanCache() as cache:
        pairs = cache.get_copies(key)
    if pairs is None:
        pairs = _search([facts[own] for own in sums])
        with ScanCache() as cache:
            cache.put_copies(key, pairs)
    return [(sums[one], sums[other]) for one, other in pairs]


def _search(facts: Sequence[ImageInfo]) -> list[tuple[int, int]]:
    """The pairs of pictures that are copies of one another, by their places."""
    prints = Fingerprints([each.fingerprint for each in facts])
    sides = np.array([min(each.width, each.height) for each in facts], int)
    found = find_candidates(prints)
    telling = np.maximum(sides[found.image], sides[found.copy]) >= _TELLING
    pairs = CandidatePairs(*(column[telling] for column in found))
    if not len(pairs.image):
        return []
    like = likeness(prints, pairs)
    small = np.minimum(sides[pairs.image], sides[pairs.copy]) < _SMALL
    least = np.where(small, _STRUCTURE_OF_SMALL, _STRUCTURE)
    bent = like.bend > _BEND
    least = np.where(bent, _STRUCTURE_OF_BENT, least)
    least = np.where(like.smooth, _STRUCTURE_OF_SMOOTH, least)
    chance = (bent & ((like.telling < _LEFT_OF_BENT) | like.smooth)) | (
        like.gradient & (like.bend > _BEND_OF_GRADIENTS)
    )
    same = (like.structure > least) & (like.colour < _COLOUR) & ~chance
    return list(zip(pairs.image[same].tolist(), pairs.copy[same].tolist(), strict=True))
