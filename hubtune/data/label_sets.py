"""Multi-label data: the labels, and the sets of them that pictures have.

To lists and splits, each set of labels is a class: the number of an image's class is that of its set. What a
network learns and answers is each label by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hubtune.data.label_names import distinct_names
from hubtune.text import plural

NO_LABEL = "(no label)"
"""How the set without a label is called."""


@dataclass(frozen=True)
class LabelSets:
    """The labels of multi-label data, and the distinct sets of labels that its pictures have.

    Attributes:
        labels: their names, in the order of the network's outputs.
        sets: ascending numbers of the labels in each set; the sets are sorted.

    Example:
        >>> sets = LabelSets.of(["red", "round"], [(1, 0), (0,), ()])
        >>> sets.names
        ['(no label)', 'red', 'red + round']
        >>> sets.matrix.astype(int).tolist()
        [[0, 0], [1, 0], [1, 1]]
    """

    labels: tuple[str, ...]
    sets: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, labels: Sequence[str], sets: Iterable[Iterable[int]]) -> "LabelSets":
        """Return the distinct sets among ``sets``, each of which may be in any order."""
        return cls(tuple(labels), tuple(sorted({tuple(sorted(set(own))) for own in sets})))

    @cached_property
    def names(self) -> list[str]:
        """Names of the sets, each once: the labels, joined by `` + ``."""
        return distinct_names(" + ".join(self.labels[n] for n in own) or NO_LABEL for own in self.sets)

    @cached_property
    def number_of(self) -> dict[tuple[int, ...], int]:
        """Set → its number."""
        return {own: number for number, own in enumerate(self.sets)}

    def describe(self, numbers: Iterable[int]) -> str:
        """Return a sentence about pictures, given the number of the set of each."""
        sizes = [len(self.sets[number]) for number in numbers]
        several, none = sum(size > 1 for size in sizes), sum(not size for size in sizes)
        return (
            f"Multi-label: of {plural(len(sizes), 'picture')}, {several:,} have several of the "
            f"{len(self.labels):,} labels, and {none:,} have none."
        )

    @cached_property
    def matrix(self) -> np.ndarray:
        """Whether each set has each label, bool ``[sets, labels]``."""
        matrix = np.zeros((len(self.sets), len(self.labels)), bool)
        for number, own in enumerate(self.sets):
            matrix[number, list(own)] = True
        return matrix
