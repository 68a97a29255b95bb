"""Whether the answers of classifiers on the same images show a difference between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from hubtune.errors import DataError
from hubtune.evaluation.metrics import Z
from hubtune.rng import rng_for

LEVEL = 0.05
"""A difference is shown where McNemar's p-value is below this."""

_Z_POWER = 0.8416212335729143  # 80 % quantile of the normal distribution
_DRAWS = 10_000


class PairedAnswers(Protocol):
    """Answers for the images of a list: which can be read, and which are right, bool ``[N]``."""

    @property
    def paths(self) -> list[str]: ...
    @property
    def truth(self) -> np.ndarray: ...
    @property
    def readable(self) -> np.ndarray: ...
    @property
    def correct(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same images.

    Attributes:
        both: number of images that both answer right.
        only_first: number that only the first answers right.
        only_second: number that only the second answers right.
        neither: number that neither answers right.
        unreadable: number of images that one of them could not read; no other number counts them.
        interval: 95 % interval of the difference.
        p_value: of the exact two-sided test of McNemar.
        p_adjusted: the p-value after Holm's correction for the number of pairs; that of a single pair is
            ``p_value``.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    unreadable: int
    interval: tuple[float, float]
    p_value: float
    p_adjusted: float

    @property
    def count(self) -> int:
        """Number of images that are compared."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second; ``nan`` without an image."""
        return (self.only_first - self.only_second) / self.count if self.count else math.nan

    @property
    def differs(self) -> bool:
        """Whether the images show a difference."""
        return self.p_adjusted < LEVEL

    @property
    def needed(self) -> int | None:
        """Number of images that would show this difference in 80 % of the cases; ``None`` if it is 0.

        Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics
        43, 1987.
        """
        if not self.count or self.only_first == self.only_second:
            return None
        disagreeing, difference = (self.only_first + self.only_second) / self.count, self.difference
        spread = math.sqrt(max(0.0, disagreeing - difference**2))
        return math.ceil(((Z * math.sqrt(disagreeing) + _Z_POWER * spread) / difference) ** 2)

    def describe(self, first: str = "the first", second: str = "the second") -> str:
        """Return the result as a sentence, with the names of the classifiers."""
        if not self.count:
            return "no picture that both can read"
        if self.differs:
            better = first if self.difference > 0 else second
            return f"{better} is better on these {self.count:,} pictures ({format_p(self.p_adjusted)})"
        text = f"no difference that these {self.count:,} pictures could show"
        if self.needed is None:
            return f"{text}: both have {self.both + self.only_first:,} right"
        if self.needed <= self.count:  # it is asymptotic, and for a single pair of classifiers
            return f"{text}: more pictures may"
        points = 100 * abs(self.difference)
        return f"{text}: to show one of {points:.1f} points takes about {_rounded(self.needed):,} pictures"

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        names = ("both", "only_first", "only_second", "neither", "unreadable")
        return {
            "count": self.count,
            **{name: getattr(self, name) for name in names},
            "difference": self.difference if self.count else None,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "differs": self.differs,
            "needed": self.needed,
        }


def compare(first: PairedAnswers, second: PairedAnswers) -> Comparison:
    """Compare the answers of two classifiers.

    Images that one of them cannot read are left out.

    Raises:
        DataError: the answers are for other images, or other classes of them.
    """
    if first.paths != second.paths or not np.array_equal(first.truth, second.truth):
        raise DataError("The answers are for other pictures or classes: compare models on the same list")
    readable = first.readable & second.readable
    right, other = first.correct[readable], second.correct[readable]
    both, only_first, only_second, neither = (
        int((one & two).sum())
        for one, two in ((right, other), (right, ~other), (~right, other), (~right, ~other))
    )
    interval = _difference_interval(both, only_first, only_second, neither)
    p_value = mcnemar(only_first, only_second)
    unreadable = int((~readable).sum())
    return Comparison(both, only_first, only_second, neither, unreadable, interval, p_value, p_value)


def compare_pairs(answers: Sequence[PairedAnswers]) -> list[tuple[int, int, Comparison]]:
    """Compare every pair of several classifiers; ``p_adjusted`` has Holm's correction over the pairs.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
    1979.

    Returns:
        The numbers of two classifiers, and their comparison, for each pair in order.

    Raises:
        DataError: as :func:`compare`.
    """
    pairs = [
        (one, two, compare(answers[one], answers[two])) for one, two in combinations(range(len(answers)), 2)
    ]
    order = sorted(range(len(pairs)), key=lambda number: pairs[number][2].p_value)
    adjusted, highest = [0.0] * len(pairs), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(pairs) - place) * pairs[number][2].p_value))
        adjusted[number] = highest
    return [
        (one, two, replace(found, p_adjusted=p_value))
        for (one, two, found), p_value in zip(pairs, adjusted, strict=True)
    ]


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, from the images that only one answers right.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947.
    """
    from scipy.special import bdtr  # here, as SciPy takes 0.3 s to import, which prediction would wait for

    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, total, 0.5)))


def _difference_interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference, by a paired Bayesian bootstrap (Rubin 1981).

    The difference depends on three counts of images only, so their shares are drawn. One image is added to
    each: with the counts alone, two classifiers that agree on 30 images would agree for certain.
    """
    count = both + only_first + only_second + neither
    if not count:
        return -1.0, 1.0
    random = rng_for(0, "comparison")
    shares = random.dirichlet([only_first + 1, only_second + 1, both + neither + 1], _DRAWS)
    low, high = np.quantile(shares[:, 0] - shares[:, 1], (0.025, 0.975))
    observed = (only_first - only_second) / count
    return min(float(low), observed), max(float(high), observed)


def format_p(p_value: float) -> str:
    """Format a p-value: ``p = 0.032``, ``p < 0.001``."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _rounded(number: int) -> int:
    """Round a number up to two digits."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit
