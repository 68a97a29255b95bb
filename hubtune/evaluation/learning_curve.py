"""How the error falls with more training images: a power law, and what it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hubtune.rng import rng_for

_EXPONENTS = np.linspace(0, 2, 81)
_DRAWS = 1000


@dataclass(frozen=True)
class PowerLaw:
    """The power law ``floor + scale * (size / unit) ** -exponent`` of the error.

    Attributes:
        floor: error that more images do not undercut, from 0; always 0 for a fit to 2 or 3 sizes.
        scale: from 0.
        exponent: 0 to 2; 0 for an error that does not fall.
        unit: the smallest size of the fit.
    """

    floor: float
    scale: float
    exponent: float
    unit: float
    _drawn: np.ndarray = field(repr=False, compare=False)  # [draws, 3]: floor, scale, exponent

    def predict(self, size: float) -> tuple[float, float, float]:
        """Return the error at a number of training images, with its 95 % interval.

        The interval has the chance in the choice of training images; and that of the images on which the
        errors were measured, if their number was given.
        """
        errors = np.clip(self._errors(size), 0, 1)
        return _with_interval(errors)

    def gain(self, size: float, more: float) -> tuple[float, float, float]:
        """Return by how much the error falls with ``more`` images beside ``size``, with its 95 % interval."""
        return _with_interval(np.clip(self._errors(size), 0, 1) - np.clip(self._errors(size + more), 0, 1))

    def _errors(self, size: float) -> np.ndarray:
        """Return the error at a size: of the fit, and of each draw."""
        fit = (self.floor, self.scale, self.exponent)
        floor, scale, exponent = np.vstack([fit, self._drawn]).T
        return np.asarray(floor + scale * (size / self.unit) ** -exponent)


def fit_learning_curve(
    sizes: Sequence[float], errors: Sequence[float], tested: Sequence[float] | None = None
) -> PowerLaw | None:
    """Fit a power law to the errors of classifiers trained on draws of several sizes.

    Weighted least squares with a parametric bootstrap; the variance of an error is taken as proportional to
    it. Hestness et al., "Deep learning scaling is predictable, empirically", 2017.

    Args:
        sizes: number of training images of each draw, in all or per class.
        errors: the error of each draw, 0 to 1.
        tested: number of images that each error was measured on, so that the interval has their chance, too,
            as if they were others for each size.

    Returns:
        The curve; ``None`` with fewer than two different sizes.
    """
    points, place = np.unique(np.asarray(sizes, np.float64), return_inverse=True)
    if len(points) < 2:
        return None
    values, counts = np.asarray(errors, np.float64), np.bincount(place)
    means = np.bincount(place, values) / counts
    relative = means + 0.1 * means.mean() + 1e-6  # no mean of a few draws is certainly 0
    powers = (points / points[0]) ** -_EXPONENTS[:, None]
    weights, has_floor = counts / relative, len(points) > 3
    floor, scale, exponent = _fit(means[None], powers, weights, has_floor)[0]
    fitted = floor + scale * (points / points[0]) ** -exponent
    # Without repeated draws, the distances from the curve have to say how much errors vary.
    repeated = len(values) > len(points)
    distances = values - (means if repeated else fitted)[place]
    freedom = len(values) - len(points) if repeated else max(1, len(points) - 2 - has_floor)
    spread = np.sqrt((distances**2 / relative[place]).sum() / freedom * relative / counts)
    if tested is not None:
        images = np.bincount(place, np.asarray(tested, np.float64)) / counts
        spread = np.sqrt(spread**2 + means * (1 - means) / images)
        weights = 1 / np.maximum(spread, 1e-3 * spread.max() + 1e-9) ** 2
        floor, scale, exponent = _fit(means[None], powers, weights / weights.max(), has_floor)[0]
    random = rng_for(0, "learning curve")
    drawn = _fit(random.normal(means, spread, (_DRAWS, len(points))), powers, weights, has_floor)
    return PowerLaw(float(floor), float(scale), float(exponent), float(points[0]), drawn)


def _with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the first value, and the 95 % interval of the others, which includes it."""
    value = float(values[0])
    low, high = np.quantile(values[1:], (0.025, 0.975)).tolist()
    return value, min(low, value), max(high, value)


def _fit(means: np.ndarray, powers: np.ndarray, weights: np.ndarray, has_floor: bool) -> np.ndarray:
    """Return floor, scale and exponent ``[draws, 3]`` for means ``[draws, sizes]``.

    For each exponent, whose powers of the sizes are ``[exponents, sizes]``, floor and scale are solved.
    """
    y, x = means[:, None, :], powers[None]  # [draws, exponents, sizes]
    total, mean_x, mean_y = weights.sum(), x @ weights / weights.sum(), y @ weights / weights.sum()
    xx, xy = (x * x) @ weights, (x * y) @ weights
    through_origin = np.maximum(0, xy / xx)
    candidates = [(np.zeros_like(through_origin), through_origin)]
    if has_floor:
        spread = xx - total * mean_x**2
        slope = np.maximum(
            0, np.divide(xy - total * mean_x * mean_y, spread, out=0 * xy, where=spread > 1e-9)
        )
        floor = mean_y - slope * mean_x
        candidates.append((np.maximum(0, floor), np.where(floor < 0, through_origin, slope)))
    best = np.full((len(means), 4), np.inf)  # the squared distance, and the parameters
    rows = np.arange(len(means))
    for floor, scale in candidates:
        squares = ((floor[..., None] + scale[..., None] * x - y) ** 2) @ weights
        number = squares.argmin(axis=1)
        found = [squares[rows, number], floor[rows, number], scale[rows, number], _EXPONENTS[number]]
        better = found[0] < best[:, 0]
        best[better] = np.stack(found, axis=1)[better]
    return best[:, 1:]
