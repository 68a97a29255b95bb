"""Find duplicate images: equal bytes, changed copies, and bursts of the same object.

Copies are found without a network, after a change of size or brightness, JPEG compression, mirroring, quarter
turns, rotation by up to 15°, or a crop to 80 % of the sides. ``docs/near-duplicates.md`` reports how
reliably.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
import PIL

from hubtune.data.dedup.groups import DuplicateGroup, connected_components
from hubtune.data.listing import ImageEntry
from hubtune.data.scan import fingerprint
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.scan_cache import ScanCache

VERSION = 3
"""Part of the cache key of search results; raised when the same images give other pairs."""

# The thresholds were fixed on one half of TrashNet's photos and on drawn digits.
# 97 % of copies are registered without any distortion.
_MAX_DISTORTION = 0.03
# Least agreement of structure. Different images, undistorted: photos reach 0.86, digits of 96 pixels 0.85.
_MIN_STRUCTURE = 0.885
# For images smaller than their fingerprint, where JPEG artefacts weigh more; different ones reach 0.66
# (CIFAR-10).
_MIN_STRUCTURE_SMALL = 0.8
_SMALL_SIDE = 64  # pixels, the smaller side
# With distortion, different photos on the same background reach 0.89, and drawn digits 0.94.
_MIN_STRUCTURE_DISTORTED = 0.95
# In brightened images with little left that is not blown out, shadows and highlights can be distorted into a
# perfect match.
_MIN_VALID_SHARE_DISTORTED = 1 / 3
_MAX_DISTORTION_OF_GRADIENTS = 0.01  # different shadows on white paper reach 0.014
# Copies of smooth images exceed this; different handwritten digits, enlarged, reach 0.98.
_MIN_STRUCTURE_SMOOTH = 0.99
# Pairs of smaller images, such as handwritten digits, agree without being copies: only equal bytes count.
_MIN_SIDE = 32  # pixels, the smaller side of the larger image
# Brightness that blows out half of an image changes its chrominance by up to 10 levels, seldom more.
_MAX_CHROMA_ERROR = 12.0
# Cosine of centred features. Four pairs of TrashNet's 600 photos exceed it, all of one object; of 1,000
# images of CIFAR-10 none does, where different objects reach 0.75.
_MIN_BURST_COSINE = 0.8
_MIN_IMAGES_FOR_BURSTS = 30
_ROWS_PER_BLOCK = 1024  # rows of the cosine matrix in memory at a time


def find_groups(
    images: Sequence[ImageEntry], advance: Callable[[int, int], None] = lambda done, total: None
) -> list[DuplicateGroup]:
    """Find the groups of copies, of at least two images each, ordered by their first members.

    The kind is ``equal`` if all members have the same bytes, and else ``near``. Images without ``info`` are
    compared by SHA-256 only. The scan cache stores the result, so that a set of images is searched once.
    ``advance`` receives the number of pairs compared, and that of all pairs.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        copies[image.sha256].append(index)
    infos = {image.sha256: image.info for image in images if image.info is not None}
    components: dict[str, list[list[int]]] = defaultdict(list)
    for sha256, first in connected_components([*zip(copies), *_cached_pairs(infos, advance)]).items():
        components[first].append(copies[sha256])
    groups = [
        DuplicateGroup(tuple(sorted(chain.from_iterable(parts))), "equal" if len(parts) == 1 else "near")
        for parts in components.values()
    ]
    return sorted((group for group in groups if len(group.members) > 1), key=lambda group: group.members)


def find_bursts(features: np.ndarray) -> list[DuplicateGroup]:
    """Find images of the same object by the features of a pretrained network; copies are among them.

    ``features`` are pooled, ``[N, width]``; rows with NaN are in no group. Groups of at least two are ordered
    by their first members. Fewer than 30 images give none: their mean does not show what all have in common.
    """
    valid = np.flatnonzero(np.isfinite(features).all(axis=1))
    if len(valid) < _MIN_IMAGES_FOR_BURSTS:
        return []
    # Without centring, what all images share, such as a white background, would make them similar.
    rows = features[valid] - features[valid].mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    # The first member of each row's component. Pairs would not fit into memory where all images are similar.
    first = np.arange(len(rows))
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        cosines = rows[start : start + _ROWS_PER_BLOCK] @ rows[start:].T
        for offset, similar in enumerate(cosines > _MIN_BURST_COSINE):
            joined = np.unique(first[start + offset :][similar[offset:]])
            if len(joined) > 1:
                first[np.isin(first, joined)] = joined[0]
    groups: dict[int, list[int]] = defaultdict(list)
    for index, number in zip(valid.tolist(), first.tolist(), strict=True):
        groups[number].append(index)
    return [DuplicateGroup(tuple(indices), "burst") for indices in groups.values() if len(indices) > 1]


def _cached_pairs(
    infos: Mapping[str, ImageInfo], advance: Callable[[int, int], None]
) -> list[tuple[str, str]]:
    """Pairs of copies by SHA-256, from the scan cache or by a search."""
    # Sorted, so that the key does not depend on names or order. Pillow's version is part of it because
    # another resampling gives other fingerprints.
    hashes = sorted(infos)
    key = hashlib.sha256(repr((VERSION, fingerprint.VERSION, PIL.__version__, hashes)).encode()).digest()
    with ScanCache() as cache:
        pairs = cache.get_copies(key)
    if pairs is None:
        pairs = _search([infos[sha256] for sha256 in hashes], advance)
        with ScanCache() as cache:
            cache.put_copies(key, pairs)
    return [(hashes[one], hashes[other]) for one, other in pairs]


def _search(infos: Sequence[ImageInfo], advance: Callable[[int, int], None]) -> list[tuple[int, int]]:
    """Pairs of copies, by position: candidates whose registration satisfies the thresholds."""
    # Imported here because SciPy takes 0.1 s to import, and most commands find their lists made.
    from hubtune.data.dedup.candidates import CandidatePairs, find_candidates
    from hubtune.data.dedup.registration import register_pairs

    fingerprints = [info.fingerprint for info in infos]
    sides = np.array([min(info.width, info.height) for info in infos], int)
    if not (sides >= _MIN_SIDE).any():
        return []
    candidates = find_candidates(fingerprints)
    large = np.maximum(sides[candidates.image], sides[candidates.copy]) >= _MIN_SIDE
    pairs = CandidatePairs(*(column[large] for column in candidates))
    if not len(pairs.image):
        return []
    match = register_pairs(fingerprints, pairs, advance)
    small = np.minimum(sides[pairs.image], sides[pairs.copy]) < _SMALL_SIDE
    distorted = match.distortion > _MAX_DISTORTION
    least = np.where(small, _MIN_STRUCTURE_SMALL, _MIN_STRUCTURE)
    least = np.where(distorted, _MIN_STRUCTURE_DISTORTED, least)
    least = np.where(match.smooth, _MIN_STRUCTURE_SMOOTH, least)
    # Matches that distortion alone can produce, however well the structure agrees.
    accidental = (distorted & ((match.valid_share < _MIN_VALID_SHARE_DISTORTED) | match.smooth)) | (
        match.gradient & (match.distortion > _MAX_DISTORTION_OF_GRADIENTS)
    )
    same = (match.structure > least) & (match.chroma_error < _MAX_CHROMA_ERROR) & ~accidental
    return list(zip(pairs.image[same].tolist(), pairs.copy[same].tolist(), strict=True))
