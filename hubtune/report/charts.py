"""Charts for pages, drawn as SVG; the page's style gives them their colours."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

_WIDTH, _HEIGHT = 340, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 40
_MAP_SIDE = 600
_LEAST_DOT = 2.5
_BAR_STEP = 36


@dataclass(frozen=True)
class ChartPoint:
    """A point of a chart, with the ends of its interval, if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ChartText:
    """The texts of a chart: its title and description for those who cannot see it, and the axes' names."""

    title: str
    description: str
    x: str
    y: str


@dataclass(frozen=True)
class ChartBar:
    """A bar of a chart: its name, its share from 0 to 1 with the text for it, and a share to compare with."""

    name: str
    share: float
    text: str
    reference: float


class _Axes:
    """The scales of a chart, from values to pixels."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], *, log: bool = False) -> None:
        self._scale: Callable[[float], float] = math.log if log else float
        self._x = self._scale(x[0]), self._scale(x[1])
        self._y = y

    def x(self, value: float) -> float:
        low, high = self._x
        share = (self._scale(value) - low) / (high - low or 1)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self._y
        share = (value - low) / (high - low or 1)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def draw_reliability(points: Sequence[ChartPoint], text: ChartText) -> Markup:
    """Draw accuracy against confidence, both 0 to 1, with the diagonal of a perfect model."""
    axes = _Axes((0, 1), (0, 1))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    diagonal = Markup('<path class="reference" d="M{} {}L{} {}"/>').format(
        axes.x(0), axes.y(0), axes.x(1), axes.y(1)
    )
    body = [diagonal, *_intervals(points, axes), _line(points, axes), *_dots(points, axes)]
    return _chart(body, axes, text, ticks, ticks, percent=(True, True))


def draw_curve(points: Sequence[ChartPoint], text: ChartText, *, percent: bool, log: bool = False) -> Markup:
    """Draw a curve with its intervals; values are shares if ``percent``; ``log`` scales the x axis."""
    x, y = [point.x for point in points], [point.y for point in points]
    y += [end for point in points for end in (point.low, point.high) if end is not None]
    y_ticks = _ticks(min(y), max(y))
    y_range = min(y_ticks[0], *y), max(y_ticks[-1], *y)
    axes = _Axes((min(x), max(x)), y_range, log=log)
    if log:
        x_ticks = _log_ticks(min(x), max(x))
    else:
        x_ticks = sorted(set(x)) if len(set(x)) <= 6 else _ticks(min(x), max(x), inside=True)
    body = [*_intervals(points, axes), _line(points, axes)]
    if len(points) <= 40:
        body += _dots(points, axes)
    return _chart(body, axes, text, x_ticks, y_ticks, percent=(False, percent))


def draw_interval(share: float, interval: tuple[float, float]) -> Markup:
    """Draw a share with its interval as a small bar; the figures stand beside it."""
    low, high = interval
    return Markup(
        '<svg class="bar" viewBox="0 0 100 12" aria-hidden="true"><path class="track" d="M0 6H100"/>'
        '<path class="interval" d="M{} 6H{}"/><circle cx="{}" cy="6" r="4"/></svg>'
    ).format(round(100 * low, 1), round(100 * high, 1), round(100 * share, 1))


def draw_bars(bars: Sequence[ChartBar], text: ChartText) -> Markup:
    """Draw shares as bars below one another, each below its name, with a mark at what it compares with."""
    parts = []
    for number, bar in enumerate(bars):
        top = number * _BAR_STEP
        parts.append(
            Markup(
                '<text x="0" y="{name}">{}</text><text x="{wide}" y="{name}" class="end">{}</text>'
                '<rect class="track" y="{top}" width="{wide}" height="8"/>'
                '<rect class="value" y="{top}" width="{}" height="8"/>'
                '<path class="mark" d="M{} {}v14"/>'
            ).format(
                *(
                    bar.name,
                    bar.text,
                    round(_WIDTH * bar.share, 1),
                    round(_WIDTH * bar.reference, 1),
                    top + 17,
                ),
                name=top + 14,
                top=top + 20,
                wide=_WIDTH,
            )
        )
    return _svg(Markup().join(parts), text, _WIDTH, len(bars) * _BAR_STEP, "bars")


def draw_confusion_map(confusion: np.ndarray, text: ChartText) -> Markup:
    """Draw where the mistakes of many classes are: a dot for each pair that is confused, rows true."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    side = _MAP_SIDE / len(wrong)
    dot = round(max(side, _LEAST_DOT), 1)
    paths = []
    for level, (low, high) in enumerate(((1, 1), (2, 4), (5, None)), start=1):
        rows, columns = np.nonzero((wrong >= low) & ((wrong <= high) if high else True))
        d = "".join(
            f"M{c * side:.1f} {r * side:.1f}h{dot}v{dot}h-{dot}z" for r, c in zip(rows, columns, strict=True)
        )
        paths.append(Markup('<path class="level{}" d="{}"/>').format(level, d))
    frame = Markup(
        '<rect class="axis" width="{0}" height="{0}"/><path class="reference" d="M0 0L{0} {0}"/>'
    ).format(_MAP_SIDE)
    return _svg(Markup().join([frame, *paths]), text, _MAP_SIDE, _MAP_SIDE, "map")


def _chart(
    body: Sequence[Markup],
    axes: _Axes,
    text: ChartText,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    *,
    percent: tuple[bool, bool],
) -> Markup:
    parts = []
    for tick in y_ticks:
        y = axes.y(tick)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, y, _WIDTH - _RIGHT))
        label = _format(tick, y_ticks, percent[1])
        parts.append(Markup('<text x="{}" y="{}" class="end">{}</text>').format(_LEFT - 5, y + 4, label))
    for tick in x_ticks:
        label = _format(tick, x_ticks, percent[0])
        parts.append(
            Markup('<text x="{}" y="{}" class="middle">{}</text>').format(
                axes.x(tick), _HEIGHT - _BOTTOM + 15, label
            )
        )
    middle = (_WIDTH + _LEFT - _RIGHT) / 2
    parts.append(Markup('<text x="{}" y="{}" class="middle">{}</text>').format(middle, _HEIGHT - 6, text.x))
    down = (_HEIGHT + _TOP - _BOTTOM) / 2
    parts.append(
        Markup('<text transform="translate(11 {}) rotate(-90)" class="middle">{}</text>').format(down, text.y)
    )
    return _svg(Markup().join([*parts, *body]), text, _WIDTH, _HEIGHT, "chart")


def _svg(body: Markup, text: ChartText, width: int, height: int, kind: str) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(kind, width, height, f"{text.title}. {text.description}", text.title, body)


def _line(points: Sequence[ChartPoint], axes: _Axes) -> Markup:
    d = "L".join(f"{axes.x(point.x)} {axes.y(point.y)}" for point in points)
    return Markup('<path class="line" d="M{}"/>').format(d)


def _dots(points: Sequence[ChartPoint], axes: _Axes) -> list[Markup]:
    dot = Markup('<circle cx="{}" cy="{}" r="4"/>')
    return [dot.format(axes.x(point.x), axes.y(point.y)) for point in points]


def _intervals(points: Sequence[ChartPoint], axes: _Axes) -> list[Markup]:
    bar = Markup('<path class="interval" d="M{} {}V{}"/>')
    return [
        bar.format(axes.x(point.x), axes.y(point.low), axes.y(point.high))
        for point in points
        if point.low is not None and point.high is not None
    ]


def _ticks(low: float, high: float, *, inside: bool = False) -> list[float]:
    """Return three to six round numbers around a range, or in it."""
    if high <= low:
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [round(number * step, 10) for number in range(first, last + 1)]
    return [tick for tick in ticks if low <= tick <= high] if inside else ticks


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5, 10, 20, … in a range of positive numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for factor in (1, 2, 5) if low <= (tick := factor * 10.0**power) <= high]


def _format(value: float, ticks: Sequence[float], percent: bool) -> str:
    scale = 100 if percent else 1
    steps = [abs(scale * (after - before)) for before, after in pairwise(ticks)]
    digits = max(0, -math.floor(math.log10(min(steps) or 1))) if steps else 0
    digits = 0 if all(float(scale * tick).is_integer() for tick in ticks) else min(digits, 6)
    return f"{scale * value:,.{digits}f}"
