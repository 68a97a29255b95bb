"""Which pictures may be copies of which: descriptors of a picture as it is, and as a copy of it would be.

A picture is described by the low frequencies of its luma (a discrete cosine transform, as in pHash, Zauner
2010), here as real numbers. Such a descriptor stands a change of size, JPEG and brightness, but neither a
crop nor a rotation: so each picture is also described as its crops and rotations would be, and all of these
are looked up among the pictures as they are. Mirrored and upright-turned copies cost nothing: in a cosine
transform they are changes of sign and order.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from hubtune.data.scan.fingerprint import SIDE, Fingerprints, Prints

PLACES = 6
"""Most candidates of a picture."""

# Cosine from which on two descriptors are worth a closer look: 99 % or more of each of 27 kinds of copies of
# TrashNet's photos and of CIFAR-10 exceed it.
_ALIKE = 0.78
# Luma levels; a picture with less contrast than this has nothing to be recognised by.
_BLANK = 1.0
_GRID = 16  # pixels a side that descriptors are made from
_SAMPLES = 2 * _GRID  # a side, before they are averaged in pairs
_FREQUENCIES = [(i, j) for i in range(9) for j in range(9) if 0 < i + j <= 10]
_WHITENING = 0.7  # power of the frequency that weighs it: natural pictures have 1/f amplitudes
# Widths through heights whose logarithms differ by less than this share one set of transformations.
_ASPECT_STEPS = 8
# Up to this many pictures all are compared with all.
_ALL_WITH_ALL = 4000
_PER_CELL = 250
_CELLS_TRIED = 4
_IMAGES_AT_ONCE = 64

FLIPS = 8
"""Turns and mirrorings of a square: bit 2 swaps rows and columns; then bit 0 mirrors left and right, bit 1
top and bottom."""


class Window(NamedTuple):
    """A part of a picture that a copy may show.

    Attributes:
        scale: its side, as a share of the picture's.
        right: its centre's distance from the picture's centre, as a share of the width.
        down: likewise, of the height.
        turn: degrees by which it is rotated.
    """

    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0
    turn: float = 0.0

    def flipped(self, flip: int) -> "Window":
        """Return where this window lies once the picture is mirrored, see :data:`FLIPS`."""
        mirror, upside_down = (-1 if flip & bit else 1 for bit in (1, 2))
        return Window(
            self.scale, mirror * self.right, upside_down * self.down, mirror * upside_down * self.turn
        )

    def affine(self, aspect: float) -> tuple[np.ndarray, np.ndarray]:
        """Return ``A`` and ``b``: a copy's point ``p`` shows the picture's point ``A (p - 0.5) + b``.

        Both go from 0 to 1 over the picture.
        """
        angle = math.radians(self.turn)
        cos, sin = math.cos(angle), math.sin(angle)
        turned = np.array([[cos, -sin / aspect], [sin * aspect, cos]])
        return self.scale * turned, np.array([0.5 + self.right, 0.5 + self.down])


def _windows() -> list[Window]:
    """As dense as needed for a descriptor to find what lies between two of them."""
    turned = [Window(1, 0, 0, turn) for turn in (-14, -10.5, -7, -3.5, 3.5, 7, 10.5, 14)]
    turned += [Window(0.87, 0, 0, turn) for turn in (-10, -5, 5, 10)]
    turned += [Window(0.79, 0, 0, turn) for turn in (-14, 14)]
    wide, narrow = (-0.09, -0.03, 0.03, 0.09), (-0.04, 0.0, 0.04)
    cropped = [Window(0.81, right, down) for right in wide for down in wide]
    cropped += [Window(0.9, right, down) for right in narrow for down in narrow]
    return [Window(), *turned, *cropped, Window(1.08)]


WINDOWS = _windows()


class CandidatePairs(NamedTuple):
    """Pairs that may be copies of one another; each attribute is an array ``[M]``.

    Attributes:
        image: place of the picture whose window it is.
        copy: place of the picture that may show this window.
        window: place in :data:`WINDOWS`.
        flip: how ``copy`` shows it turned, see :data:`FLIPS`.
    """

    image: np.ndarray
    copy: np.ndarray
    window: np.ndarray
    flip: np.ndarray


def grid(side: int) -> np.ndarray:
    """The centres of the pixels of a square, ``[side², 2]`` (right, down), each from 0 to 1."""
    centres = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def find_candidates(prints: Fingerprints) -> CandidatePairs:
    """Find the pairs that are worth a closer look, at most :data:`PLACES` of each picture.

    Up to 4,000 pictures all are compared with all; of more, only those whose descriptors fall into the same
    or the next cells of a clustering (the inverted file of Jégou et al., 2011), which needs time in
    proportion to their number.
    """
    whole = np.concatenate(
        [_describe(prints.take(rows), windows=1)[:, 0] for rows in _portions(len(prints), 4096)]
        or [np.empty((0, len(_FREQUENCIES)), np.float32)]
    )
    index = _Index(whole)
    found = [
        index.search(rows, _describe(prints.take(rows))) for rows in _portions(len(prints), _IMAGES_AT_ONCE)
    ]
    columns = zip(*found, strict=True) if found else [[np.empty(0, np.int64)]] * 4
    return CandidatePairs(*(np.concatenate(column) for column in columns))


def _portions(number: int, size: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + size, number)) for start in range(0, number, size)]


class _Index:
    """The descriptors of all pictures as they are, to be searched."""

    def __init__(self, whole: np.ndarray) -> None:
        """Take descriptors ``[N, D]`` of length 1, or 0 for blank pictures."""
        self._whole = whole
        cells = 1 if len(whole) <= _ALL_WITH_ALL else len(whole) // _PER_CELL
        if cells == 1:
            self._centres = np.zeros((1, whole.shape[1]), np.float32)
            self._members = [np.arange(len(whole))]
            return
        from sklearn.cluster import MiniBatchKMeans  # slow to import, and few folders are so large

        clustering = MiniBatchKMeans(cells, batch_size=4096, max_iter=20, n_init=1, random_state=0)
        labels = clustering.fit_predict(whole)
        self._centres = clustering.cluster_centers_.astype(np.float32)
        self._members = [np.flatnonzero(labels == cell) for cell in range(cells)]

    def search(self, rows: np.ndarray, described: np.ndarray) -> tuple[np.ndarray, ...]:
        """Look the windows of some pictures up.

        Args:
            rows: which pictures, ``[n]``.
            described: their windows' descriptors ``[n, windows, D]``.

        Returns:
            The arrays of :class:`CandidatePairs`.
        """
        queries, window, flip = _flipped(described)
        count = queries.shape[1]
        flat = queries.reshape(-1, queries.shape[2])
        owner = np.repeat(np.arange(len(rows)), count)
        hits = [
            (asked[row], self._members[cell][column], cosines[row, column])
            for cell, asked in self._asked(flat)
            for cosines in [flat[asked] @ self._whole[self._members[cell]].T]
            for row, column in [np.nonzero(cosines > _ALIKE)]
        ]
        query, copy, cosine = (np.concatenate(column) for column in zip(*hits, strict=True))
        other = copy != rows[owner[query]]
        query, copy, cosine = query[other], copy[other], cosine[other]
        # The best window of each pair, then the best pairs of each picture; ties by place.
        order = np.lexsort((query, copy, -cosine))
        query, copy = query[order], copy[order]
        _, first = np.unique(owner[query] * len(self._whole) + copy, return_index=True)
        first.sort()
        query, copy = query[first], copy[first]
        place = _running_count(owner[query])
        query, copy = query[place < PLACES], copy[place < PLACES]
        return rows[owner[query]], copy, window[query % count], flip[query % count]

    def _asked(self, flat: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Which queries go to which cell."""
        if len(self._centres) == 1:
            return [(0, np.arange(len(flat)))]
        nearness = flat @ self._centres.T - 0.5 * (self._centres**2).sum(axis=1)
        tried = np.argpartition(-nearness, _CELLS_TRIED, axis=1)[:, :_CELLS_TRIED]
        query = np.repeat(np.arange(len(flat)), _CELLS_TRIED)
        order = np.argsort(tried.ravel(), kind="stable")
        cells, starts = np.unique(tried.ravel()[order], return_index=True)
        return list(zip(cells.tolist(), np.split(query[order], starts[1:]), strict=True))


def _running_count(values: np.ndarray) -> np.ndarray:
    """How often each value has stood before."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = (
        np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(values) else np.empty(0, np.int64)
    )
    lengths = np.diff(np.r_[starts, len(values)])
    count = np.empty(len(values), np.int64)
    count[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return count


def _flipped(described: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Descriptors of all windows, mirrored in any way, and of the whole picture in quarter turns.

    Returns:
        Descriptors ``[n, Q, D]``, and the window and the flip of each of the Q.
    """
    rows, columns = np.array(_FREQUENCIES).T
    mirrored = 1 - 2 * (columns % 2).astype(np.float32)
    upside_down = 1 - 2 * (rows % 2).astype(np.float32)
    swapped = [_FREQUENCIES.index((j, i)) for i, j in _FREQUENCIES]
    parts, windows, flips = [], [], []
    for flip in range(FLIPS):
        part = described if flip < 4 else described[:, :1]
        if flip & 4:
            part = part[:, :, swapped]
        part = part * (mirrored if flip & 1 else 1) * (upside_down if flip & 2 else 1)
        parts.append(part.astype(np.float32))
        windows.append(np.arange(part.shape[1]))
        flips.append(np.full(part.shape[1], flip))
    return np.concatenate(parts, axis=1), np.concatenate(windows), np.concatenate(flips)


def _describe(prints: Prints, windows: int | None = None) -> np.ndarray:
    """Descriptors of windows of pictures, ``[n, windows, D]``, float32, of length 1 (0 if blank)."""
    images = len(prints.grey)
    pooled = prints.grey.reshape(images, _SAMPLES, SIDE // _SAMPLES, _SAMPLES, SIDE // _SAMPLES)
    small = pooled.mean(axis=(2, 4), dtype=np.float32).reshape(images, -1)
    count = len(WINDOWS) if windows is None else windows
    described = np.empty((images, count, len(_FREQUENCIES)), np.float32)
    steps = np.rint(np.log2(prints.aspects) * _ASPECT_STEPS).clip(-32, 32).astype(int)
    for step in np.unique(steps):
        matrix = _transformations(int(step))[:count].reshape(-1, _SAMPLES**2)
        same = steps == step
        described[same] = (small[same] @ matrix.T).reshape(-1, count, len(_FREQUENCIES))
    lengths = np.linalg.norm(described, axis=2, keepdims=True)
    return np.where(lengths > _BLANK * _GRID, described / np.maximum(lengths, 1e-6), 0).astype(np.float32)


@cache
def _transformations(aspect_step: int) -> np.ndarray:
    """Luma ``[32²]`` → descriptor of each window: float32 ``[windows, D, 32²]``."""
    aspect = 2 ** (aspect_step / _ASPECT_STEPS)
    in_pairs = np.kron(np.eye(_GRID), np.full((1, 2), 0.5))
    project = _projection() @ np.kron(in_pairs, in_pairs)
    matrices = []
    for window in WINDOWS:
        matrix, offset = window.affine(aspect)
        points = (grid(_SAMPLES) - 0.5) @ matrix.T + offset
        matrices.append(project @ _interpolation(points, _SAMPLES))
    return np.stack(matrices).astype(np.float32)


def _projection() -> np.ndarray:
    """Luma ``[16²]`` → weighted frequencies ``[D, 16²]``; the border counts less, and the mean not at all."""
    places = np.arange(_GRID)
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
