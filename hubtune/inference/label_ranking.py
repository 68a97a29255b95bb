"""Images ordered by how improbable their labels are, by heads that were fitted without them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.data.audit.issues import LabelIssue
from hubtune.errors import DataError
from hubtune.inference.feature_table import Scaling, Table
from hubtune.inference.ridge_choice import choose
from hubtune.inference.ridge_spectrum import exact_spectrum
from hubtune.rng import rng_for

_MOST_EXACT = 2_000


def rank_labels(table: Table, num_classes: int, check: Callable[[], None] = lambda: None) -> list[LabelIssue]:
    """Rank the labels that are not the most probable ones of their images, the least probable first.

    Each row is scored by a ridge head that is fitted to all others but its group (Northcutt et al.,
    "Confident learning", 2021, use cross-validation). More than 2,000 rows are divided at random into parts,
    and groups are kept together. Rows whose class has no other group are not ranked.

    Args:
        table: the features of the images and their labels.
        num_classes: number of classes.
        check: called between steps; may raise to stop.

    Raises:
        DataError: all rows are of one class, or no class has two groups.
    """
    issues, judged = [], 0
    for part in _divide(table.keys):
        rows = table if len(part) == len(table.rows) else table.take(part)
        with threadpool_limits(1):  # as for the head: sums by several threads depend on their number
            spectrum = exact_spectrum(rows, Scaling(rows), num_classes, check)
            logits = choose(rows, spectrum, check).logits
        scored = np.flatnonzero(np.isfinite(logits[:, 0]))
        judged += len(scored)
        powers = np.exp(logits[scored] - logits[scored].max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        own = np.searchsorted(spectrum.present, rows.labels[scored])
        best = probabilities.argmax(axis=1)
        for row in np.flatnonzero(best != own).tolist():
            values, index = probabilities[row], int(part[scored[row]])
            other = int(spectrum.present[best[row]])
            issues.append(LabelIssue(index, float(values[own[row]]), other, float(values[best[row]])))
    if not judged:
        raise DataError(
            "The classes are too small to judge labels: each needs two pictures that are not copies"
        )
    return sorted(issues, key=lambda issue: (issue.own, issue.index))


@dataclass(frozen=True)
class DecisionIssue:
    """A label that a multi-label image probably lacks wrongly, or has wrongly.

    Attributes:
        index: of the image, among the rows of the table.
        label: number of the label.
        is_given: whether the image has it by the list.
        probability: of the label.
        share: of the rows that have it.
    """

    index: int
    label: int
    is_given: bool
    probability: float
    share: float

    @property
    def own(self) -> float:
        """Probability of what the list says."""
        return self.probability if self.is_given else 1 - self.probability


def rank_decisions(table: Table, check: Callable[[], None] = lambda: None) -> list[DecisionIssue]:
    """Rank the labels of multi-label images that the list probably gives or omits wrongly, the surest first.

    Each row is scored as by :func:`rank_labels`, and each of its labels is judged by itself: those are ranked
    of which the list says what is less probable than not.

    Args:
        table: the features of the images and their sets of labels.
        check: called between steps; may raise to stop.

    Raises:
        DataError: all rows are in one group.
    """
    issues, judged = [], 0
    targets = table.targets.of(table.labels, table.targets.present(table.labels)) > 0
    shares = targets.mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
    for part in _divide(table.keys) if len(targets) else []:
        rows = table if len(part) == len(table.rows) else table.take(part)
        with threadpool_limits(1):
            logits = choose(rows, exact_spectrum(rows, Scaling(rows), len(shares), check), check).logits
        judged += int(np.isfinite(logits[:, 0]).sum())
        probabilities, own = 1 / (1 + np.exp(-logits)), targets[part]
        for row, label in np.argwhere(np.where(own, probabilities, 1 - probabilities) < 0.5).tolist():
            value, is_given = float(probabilities[row, label]), bool(own[row, label])
            issues.append(DecisionIssue(int(part[row]), label, is_given, value, float(shares[label])))
    if not judged:
        raise DataError("There are too few pictures to judge labels: at least two that are not copies")
    return sorted(issues, key=lambda issue: (issue.own, issue.index, issue.label))


def _divide(keys: Sequence[str]) -> list[np.ndarray]:
    """Divide rows into parts of 2,000 or fewer, so that rows of one key are in one part."""
    count = -(-len(keys) // _MOST_EXACT)
    if count <= 1:
        return [np.arange(len(keys))]
    names, numbers = np.unique(np.asarray(keys), return_inverse=True)
    part_of = rng_for(0, "label parts").permutation(len(names)) % count
    return [np.flatnonzero(part_of[numbers] == part) for part in range(count)]
