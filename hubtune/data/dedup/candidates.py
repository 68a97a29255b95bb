"""Candidate pairs of copies, by comparing descriptors of images and of windows of them.

A descriptor holds low frequencies of the luma (a discrete cosine transform, as in pHash, Zauner 2010), as
real numbers. It is robust to a change of size, JPEG compression and brightness, but not to a crop or a
rotation. So each image is also described as crops and rotations of it would be, and these windows are looked
up among the whole images. Mirrored and upright-turned copies cost nothing: they change signs and order of a
cosine transform.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, SupportsBytes

import numpy as np
from scipy.sparse import csr_array

from hubtune.data.scan.fingerprint import SIDE, FingerprintArrays, load_fingerprints

MAX_CANDIDATES = 6
"""Most candidates per image; registering them takes longer than finding them (641 photos: 1.5 and 1.0 s)."""

# Least cosine of two descriptors for a closer look. Of each of 27 kinds of copies of TrashNet's photos and of
# CIFAR-10, 99 % or more exceed it.
_MIN_COSINE = 0.78
# Least contrast in luma levels. A uniform image has a descriptor of noise, and would match any other.
_MIN_CONTRAST = 1.0
_GRID = 16  # pixels a side that descriptors are computed from
_SAMPLES = 2 * _GRID  # a side; averaged in pairs, so that rotated windows do not alias
_FREQUENCIES = [(i, j) for i in range(9) for j in range(9) if 0 < i + j <= 10]
# Exponent of the frequency that weights it. Amplitudes of natural images fall as 1/f: without whitening, the
# lowest frequencies alone would decide.
_WHITENING = 0.7
# Aspect ratios whose binary logarithms round to the same eighth share one set of matrices, 9 MiB.
_ASPECT_STEPS = 8
# Exhaustive comparison up to this many images; its time grows with the square of their number.
_EXHAUSTIVE_LIMIT = 1500
_MAX_CELL = 4000
_IMAGES_PER_CELL = 250
_CELLS_PROBED = 4
_IMAGES_PER_BATCH = 64  # with 168 queries each, 164 MiB of cosines against a cell of 4,000 images
_WHOLE_IMAGES_PER_BATCH = 4096

FLIPS = 8
"""Symmetries of a square: bit 2 swaps rows and columns; then bit 0 mirrors left and right, bit 1 top and
bottom."""


class Window(NamedTuple):
    """A part of an image that a copy may show: its side, as a share of the image's, and rotation in degrees.

    ``right`` and ``down`` are the distance of its centre from the image's, as shares of width and height.
    """

    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0
    turn: float = 0.0

    def flip(self, flip: int) -> "Window":
        """Return the window in the mirrored image, see :data:`FLIPS`."""
        mirror, upside_down = (-1 if flip & bit else 1 for bit in (1, 2))
        return Window(
            self.scale, mirror * self.right, upside_down * self.down, mirror * upside_down * self.turn
        )

    def affine(self, aspect: float) -> tuple[np.ndarray, np.ndarray]:
        """Return ``A`` ``[2, 2]`` and ``b`` ``[2]``: a copy's point ``p`` shows ``A (p - 0.5) + b``.

        Points go from 0 to 1 over the image; ``aspect`` is its width divided by its height.
        """
        angle = math.radians(self.turn)
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, -sin / aspect], [sin * aspect, cos]])
        return self.scale * rotation, np.array([0.5 + self.right, 0.5 + self.down])


def _make_windows() -> list[Window]:
    # Dense enough that a crop or rotation between two windows still exceeds the least cosine: steps of 3.5°,
    # and of 6 % of the sides for crops to about 80 %. A scale of 0.79 to 0.87 is what remains of a rotated
    # image without its corners; 1.08 finds copies with a border.
    rotations = [Window(1, 0, 0, turn) for turn in (-14, -10.5, -7, -3.5, 3.5, 7, 10.5, 14)]
    rotations += [Window(0.87, 0, 0, turn) for turn in (-10, -5, 5, 10)]
    rotations += [Window(0.79, 0, 0, turn) for turn in (-14, 14)]
    wide, narrow = (-0.09, -0.03, 0.03, 0.09), (-0.04, 0.0, 0.04)
    crops = [Window(0.81, right, down) for right in wide for down in wide]
    crops += [Window(0.9, right, down) for right in narrow for down in narrow]
    return [Window(), *rotations, *crops, Window(1.08)]


WINDOWS = _make_windows()


class CandidatePairs(NamedTuple):
    """Pairs that may be copies of each other; each attribute is an int array ``[M]``.

    Attributes:
        image: index of the image whose window was looked up.
        copy: index of the image that may show this window.
        window: index in :data:`WINDOWS`.
        flip: symmetry in which ``copy`` shows it, see :data:`FLIPS`.
    """

    image: np.ndarray
    copy: np.ndarray
    window: np.ndarray
    flip: np.ndarray


def pixel_grid(side: int) -> np.ndarray:
    """Centres of the pixels of a square, ``[side², 2]`` (right, down), from 0 to 1."""
    centres = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def find_candidates(fingerprints: Sequence[SupportsBytes]) -> CandidatePairs:
    """Find pairs that are worth a registration, at most :data:`MAX_CANDIDATES` per image.

    Up to 1,500 images are compared exhaustively. More are compared within cells of a clustering (the inverted
    file of Jégou et al., 2011), in time proportional to their number: 23 s for 10,000 images of CIFAR-10 on
    two cores, registration included.
    """
    count = len(fingerprints)
    whole = np.empty((count, len(_FREQUENCIES)), np.float32)
    for rows in _batches(count, _WHOLE_IMAGES_PER_BATCH):
        whole[rows] = _compute_descriptors(load_fingerprints(fingerprints, rows), windows=1)[:, 0]
    index = _Index(whole)
    found: list[tuple[np.ndarray, ...]] = [(np.empty(0, np.int64),) * 4]
    for rows in _batches(count, _IMAGES_PER_BATCH):
        found.append(index.search(rows, _compute_descriptors(load_fingerprints(fingerprints, rows))))
    return CandidatePairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _batches(count: int, size: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


class _Index:
    """Descriptors of all whole images, for nearest-neighbour search."""

    def __init__(self, whole: np.ndarray) -> None:
        """Index descriptors ``[N, D]`` of length 1, or 0 for uniform images."""
        self._whole = whole
        cells = 1 if len(whole) <= _EXHAUSTIVE_LIMIT else len(whole) // _IMAGES_PER_CELL
        if cells == 1:
            self._centres = np.zeros((1, whole.shape[1]), np.float32)
            self._members = [np.arange(len(whole))]
            return
        from sklearn.cluster import MiniBatchKMeans  # slow to import, and few folders are so large

        clustering = MiniBatchKMeans(cells, batch_size=4096, max_iter=20, n_init=1, random_state=0)
        labels = clustering.fit_predict(whole)
        order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=cells)
        centres: list[np.ndarray] = []
        self._members = []
        for centre, own in zip(
            clustering.cluster_centers_, np.split(order, np.cumsum(sizes)[:-1]), strict=True
        ):
            parts = _divide_cell(whole, own)
            centres += [centre] if len(parts) == 1 else [whole[part].mean(axis=0) for part in parts]
            self._members += parts
        self._centres = np.array(centres, np.float32)

    def search(self, rows: np.ndarray, descriptors: np.ndarray) -> tuple[np.ndarray, ...]:
        """Look up windows ``[n, windows, D]`` of images ``[n]``; return arrays of :class:`CandidatePairs`."""
        queries, window, flip = _flip_descriptors(descriptors)
        count = queries.shape[1]
        flat = queries.reshape(-1, queries.shape[2])
        owner = np.repeat(np.arange(len(rows)), count)
        hits = [
            self._search_cell(cell, query, flat[query], owner[query], rows)
            for cell, query in self._assign_cells(flat)
        ]
        query, copy, cosine = (np.concatenate(column) for column in zip(*hits, strict=True))
        # Ties go by position, so that the result is the same on every machine.
        order = np.lexsort((query, copy, -cosine))
        query, copy = query[order], copy[order]
        best = _running_count(owner[query]) < MAX_CANDIDATES
        query, copy = query[best], copy[best]
        return rows[owner[query]], copy, window[query % count], flip[query % count]

    def _search_cell(
        self, cell: int, query: np.ndarray, flat: np.ndarray, owner: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the best query of each image for each of the best members of a cell, and their cosines."""
        members = self._members[cell]
        cosines = flat @ self._whole[members].T
        found: list[tuple[np.ndarray, ...]] = [
            (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        ]
        # Image by image, and only the best of each: where all look alike, nearly all cosines are large.
        for image in np.unique(owner[cosines.max(axis=1, initial=-1) > _MIN_COSINE]):
            start, end = np.searchsorted(owner, (image, image + 1))
            best = cosines[start:end].max(axis=0)
            best[members == rows[image]] = -1
            column = np.flatnonzero(best > _MIN_COSINE)
            column = column[np.argsort(-best[column], kind="stable")[:MAX_CANDIDATES]]
            first = start + cosines[start:end, column].argmax(axis=0)
            found.append((query[first], members[column], best[column]))
        query, copy, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
        return query, copy, cosine

    def _assign_cells(self, flat: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The cells to search, each with the indices of its queries."""
        if len(self._centres) == 1:
            return [(0, np.arange(len(flat)))]
        # |q − c|² without the part that is the same for all cells.
        nearness = flat @ self._centres.T - 0.5 * (self._centres**2).sum(axis=1)
        probed = np.argpartition(-nearness, _CELLS_PROBED, axis=1)[:, :_CELLS_PROBED]
        query = np.repeat(np.arange(len(flat)), _CELLS_PROBED)
        order = np.argsort(probed.ravel(), kind="stable")
        cells, starts = np.unique(probed.ravel()[order], return_index=True)
        return list(zip(cells.tolist(), np.split(query[order], starts[1:]), strict=True))


def _divide_cell(whole: np.ndarray, own: np.ndarray) -> list[np.ndarray]:
    """Divide a cell of too many images, which look alike, across its principal axis; omit uniform images."""
    own = own[whole[own].any(axis=1)]
    if len(own) <= _MAX_CELL:
        return [own]
    centred = whole[own] - whole[own].mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    axis *= np.sign(axis[np.abs(axis).argmax()])  # which end is first is left open by eigh()
    along = own[np.argsort(centred @ axis, kind="stable")]
    return [np.sort(part) for part in np.array_split(along, len(own) // _IMAGES_PER_CELL)]


def _running_count(values: np.ndarray) -> np.ndarray:
    """For each value, the number of equal values before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    count = np.empty(len(values), np.int64)
    count[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    return count


def _flip_descriptors(descriptors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All windows mirrored, and the whole image turned: ``[n, Q, D]``, and their window and flip ``[Q]``."""
    rows, columns = np.array(_FREQUENCIES).T
    # Mirroring changes the sign of odd frequencies; a quarter turn swaps the two frequencies of each pair.
    mirrored = 1 - 2 * (columns % 2).astype(np.float32)
    upside_down = 1 - 2 * (rows % 2).astype(np.float32)
    transposed = [_FREQUENCIES.index((j, i)) for i, j in _FREQUENCIES]
    parts, windows, flips = [], [], []
    for flip in range(FLIPS):
        # Quarter turns of the whole image only: those of its windows would double the number of queries.
        part = descriptors if flip < 4 else descriptors[:, :1][:, :, transposed]
        part = part * (mirrored if flip & 1 else 1) * (upside_down if flip & 2 else 1)
        parts.append(part.astype(np.float32))
        windows.append(np.arange(part.shape[1]))
        flips.append(np.full(part.shape[1], flip))
    return np.concatenate(parts, axis=1), np.concatenate(windows), np.concatenate(flips)


def _compute_descriptors(fingerprints: FingerprintArrays, windows: int = len(WINDOWS)) -> np.ndarray:
    """Descriptors of windows, float32 ``[n, windows, D]`` of length 1, or 0 for uniform images."""
    images = len(fingerprints.luma)
    blocks = fingerprints.luma.reshape(images, _SAMPLES, SIDE // _SAMPLES, _SAMPLES, SIDE // _SAMPLES)
    small = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(images, -1)
    descriptors = np.empty((images, windows, len(_FREQUENCIES)), np.float32)
    steps = np.rint(np.log2(fingerprints.aspects) * _ASPECT_STEPS).clip(-32, 32).astype(int)
    for step in np.unique(steps):
        # All windows of all images of one aspect ratio in one matrix product.
        matrix = _descriptor_matrices(int(step))[:windows].reshape(-1, _SAMPLES**2)
        same = steps == step
        descriptors[same] = (small[same] @ matrix.T).reshape(-1, windows, len(_FREQUENCIES))
    lengths = np.linalg.norm(descriptors, axis=2, keepdims=True)
    unit = descriptors / np.maximum(lengths, 1e-6)
    return np.where(lengths > _MIN_CONTRAST * _GRID, unit, 0).astype(np.float32)


@cache
def _descriptor_matrices(aspect_step: int) -> np.ndarray:
    """Matrices from luma ``[32²]`` to the descriptor of each window: float32 ``[windows, D, 32²]``."""
    aspect = 2 ** (aspect_step / _ASPECT_STEPS)
    average_pairs = np.kron(np.eye(_GRID), np.full((1, 2), 0.5))
    project = _projection() @ np.kron(average_pairs, average_pairs)
    matrices = []
    for window in WINDOWS:
        matrix, offset = window.affine(aspect)
        points = (pixel_grid(_SAMPLES) - 0.5) @ matrix.T + offset
        matrices.append(project @ _interpolation(points, _SAMPLES))
    return np.stack(matrices).astype(np.float32)


def _projection() -> np.ndarray:
    """Matrix from luma ``[16²]`` to weighted frequencies: ``[D, 16²]``."""
    places = np.arange(_GRID)
    # The border counts less, because copies often differ there; the mean does not count.
    border = np.clip(np.minimum(places + 0.5, _GRID - places - 0.5) / 3, 0, 1)
    weights = np.outer(border, border).ravel()
    cosines = np.cos(math.pi * (places + 0.5) * np.arange(_GRID)[:, None] / _GRID) * math.sqrt(2 / _GRID)
    waves = np.stack([np.outer(cosines[i], cosines[j]).ravel() for i, j in _FREQUENCIES])
    waves *= np.array([math.hypot(i, j) ** _WHITENING for i, j in _FREQUENCIES])[:, None]
    centred = np.eye(_GRID**2) - np.outer(np.ones(_GRID**2), weights / weights.sum())
    return (waves * weights) @ centred


def _interpolation(points: np.ndarray, side: int) -> csr_array:
    """Bilinear interpolation at points ``[P, 2]`` as a matrix ``[P, side²]``; outside is the nearest edge."""
    places = np.clip(points * side - 0.5, 0, side - 1)
    corner = np.minimum(places.astype(int), side - 2)
    right, down = (places - corner).T
    start = corner[:, 1] * side + corner[:, 0]
    columns = np.stack([start, start + 1, start + side, start + side + 1], axis=1)
    weights = np.stack(
        [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], axis=1
    )
    rows = np.repeat(np.arange(len(points)), 4)
    return csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(points), side**2))
