"""How accurate heads are that are fitted to a part of the images: would more images help?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.inference.feature_table import Scaling, Table, block_shares, column_parts
from hubtune.inference.ridge_choice import choose
from hubtune.inference.ridge_spectrum import Spectrum, principal_axes
from hubtune.rng import rng_for

_DRAWS = 6


@dataclass(frozen=True)
class SubsetAccuracy:
    """Accuracy of heads that are fitted to some images of each class, on the others.

    Attributes:
        images: mean number of images a class.
        accuracies: of each draw.
        tested: mean number of other images.
        per_class: mean accuracy of each class, float64 ``[classes]``; NaN for a class without other images.
    """

    images: float
    accuracies: list[float]
    tested: float
    per_class: np.ndarray


def accuracy_by_size(table: Table, check: Callable[[], None] = lambda: None) -> list[SubsetAccuracy]:
    """Fit ridge heads to 1, 2, 4, … images of each class, several times, and to all.

    A group is never divided: of a class, whole groups are drawn until there are enough images, or half of
    the class, and images of these groups are not tested. Heads of all images are tested on images that are
    left out with their group.
    Features are scaled by the statistics of all images, which do not depend on labels.

    Args:
        table: at most some thousand rows, as memory and time grow with the square of their number.
        check: called between steps; may raise to stop.

    Returns:
        One entry for each size, ascending; empty if the classes are too small to test anything.
    """
    results = []
    with threadpool_limits(1):  # sums by several threads depend on their number
        grams = _block_grams(table)
        largest = int(np.bincount(table.labels).max(initial=0)) // 2
        for size in _sizes(largest):
            draws = [_test_draw(table, grams, size, draw) for draw in range(_DRAWS)]
            tested = [draw for draw in draws if draw is not None]
            check()
            if tested:
                results.append(_summarise(tested))
        if results and (everything := _test_left_out(table, grams)) is not None:
            results.append(everything)
    return results


def _sizes(largest: int) -> list[int]:
    """Return 1, 2, 4, …, and the largest, unless it is close to one of these."""
    doubled = [2**power for power in range(32) if 2**power <= largest]
    return doubled + ([largest] if doubled and largest > 1.25 * doubled[-1] else [])


def _block_grams(table: Table) -> list[np.ndarray]:
    """Return the products of all rows, ``[N, N]`` for each block of features."""
    scaling, grams, start = Scaling(table), [], 0
    for width in table.blocks:
        gram = np.zeros((len(table.rows), len(table.rows)))
        for part in column_parts(start + width, start):
            scaled = scaling.scaled(table.rows, part)
            gram += scaled @ scaled.T
        grams.append(gram)
        start += width
    return grams


def _gram_for(grams: list[np.ndarray], rows: int) -> np.ndarray:
    """Return the products of all rows as they are for a head of this number of rows."""
    shares, usual = block_shares(rows, len(grams)), block_shares(len(grams[0]), len(grams))
    return np.asarray(sum(gram * (own / all_) for gram, own, all_ in zip(grams, shares, usual, strict=True)))


Draw = tuple[float, np.ndarray, np.ndarray]
"""Images a class, the classes of the tested images, and whether each answer is right."""


def _test_draw(table: Table, grams: list[np.ndarray], size: int, draw: int) -> Draw | None:
    chosen = _draw_rows(table, size, draw)
    used = {table.keys[row] for row in chosen}
    tested = np.flatnonzero([key not in used for key in table.keys])
    part = table.take(chosen)
    if not len(tested) or len(np.unique(part.labels)) < 2:
        return None
    gram = _gram_for(grams, len(chosen))
    spectrum, scores_of = _fit(part, gram[np.ix_(chosen, chosen)])
    scores = scores_of(gram[np.ix_(tested, chosen)], choose(part, spectrum, lambda: None).strength)
    labels = table.labels[tested]
    classes = len(np.unique(part.labels))
    return len(chosen) / classes, labels, spectrum.present[scores.argmax(axis=1)] == labels


def _draw_rows(table: Table, size: int, draw: int) -> np.ndarray:
    """Draw about ``size`` rows of each class, in whole groups, but about half of a class at most.

    The other half is tested: on large classes alone, the accuracy would be another one.
    """
    order = rng_for(0, "learning curve", size, draw).permutation(len(table.labels))
    rows_of: dict[str, list[int]] = {}
    for row in order.tolist():
        rows_of.setdefault(table.keys[row], []).append(row)
    limits = np.clip(np.bincount(table.labels) // 2, 1, size)
    counts = np.zeros(len(limits), int)
    chosen: list[int] = []
    for rows in rows_of.values():
        if (counts[table.labels[rows]] < limits[table.labels[rows]]).all():
            chosen += rows
            np.add.at(counts, table.labels[rows], 1)
    return np.sort(chosen)


def _fit(part: Table, products: np.ndarray) -> tuple[Spectrum, Callable[[np.ndarray, float], np.ndarray]]:
    """Fit heads to rows with these products ``[n, n]``.

    Returns their spectrum, and a function from products of other rows with them ``[m, n]``, and a strength,
    to scores ``[m, classes]``.
    """
    present, columns = np.unique(part.labels, return_inverse=True)
    weights, root = part.weights / part.weights.sum(), np.sqrt(part.weights)
    targets = np.eye(len(present))[columns]
    target_mean = weights @ targets
    towards_mean = products @ weights
    centre = float(weights @ towards_mean)
    centred = products - towards_mean - towards_mean[:, None] + centre
    values, axes = principal_axes(centred * root[:, None] * root)
    rows = axes * np.sqrt(values)
    projected = rows.T @ (root[:, None] * (targets - target_mean))

    def unused(_: np.ndarray) -> np.ndarray:
        raise NotImplementedError("features are not held, only their products")

    total = float(part.weights.sum())
    spectrum = Spectrum(rows, root, total, values, projected, target_mean, present, unused, unused)

    def scores_of(others: np.ndarray, strength: float) -> np.ndarray:
        others = others - towards_mean - (others @ weights)[:, None] + centre
        factors = root[:, None] * (rows @ (projected / ((values + strength) * values)[:, None]))
        return np.asarray(target_mean + others @ factors)

    return spectrum, scores_of


def _test_left_out(table: Table, grams: list[np.ndarray]) -> SubsetAccuracy | None:
    """Test heads of all images, each on the images of one group that is left out."""
    spectrum, _ = _fit(table, _gram_for(grams, len(table.rows)))
    logits = choose(table, spectrum, lambda: None).logits
    tested = np.flatnonzero(np.isfinite(logits[:, 0]))
    if not len(tested):
        return None
    labels = table.labels[tested]
    right = spectrum.present[logits[tested].argmax(axis=1)] == labels
    return _summarise([(len(table.labels) / len(spectrum.present), labels, right)])


def _summarise(draws: list[Draw]) -> SubsetAccuracy:
    labels, right = np.concatenate([draw[1] for draw in draws]), np.concatenate([draw[2] for draw in draws])
    classes = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        per_class = np.bincount(labels, weights=right, minlength=classes) / counts
    images = float(np.mean([draw[0] for draw in draws]))
    accuracies = [float(draw[2].mean()) for draw in draws]
    return SubsetAccuracy(images, accuracies, len(labels) / len(draws), per_class)
