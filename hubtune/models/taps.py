"""Taps: the places in a network whose outputs have second-order features."""

from dataclasses import dataclass

MOST_CHANNELS = 160
"""Maps with more channels are projected by fixed random directions before covariances are computed."""

MOST_TAPPED = 65_536
"""The most channels that a tap may have."""

PROJECTED = 128
"""The number of these directions."""

EPSILON = 0.1
"""Added below roots of second-order features, to values whose mean square is 1: it bounds the root's gradient
at 0, and what becomes of rounding errors there, by 2.2. Accuracies are those with much smaller values."""

LEAST = 1e-30
"""Keeps a map of zeros from being divided by zero."""

NOISE = 1e-6
"""Variation of a map of this share of its mean square is of the size of rounding errors."""


@dataclass(frozen=True)
class Tap:
    """A place in a network.

    Attributes:
        name: that of a stage, such as ``stage3``, or of a step of a stage, such as ``stage4.2``.
        channels: number of channels of a map ``[N, channels, h, w]`` or of tokens ``[N, tokens, channels]``.
    """

    name: str
    channels: int

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MOST_TAPPED:
            raise ValueError(f"a tap has {self.channels} channels, and may have 1 to {MOST_TAPPED:,}")

    @property
    def directions(self) -> int:
        """Number of channels, or of directions that they are projected to."""
        return self.channels if self.channels <= MOST_CHANNELS else PROJECTED

    @property
    def width(self) -> int:
        """Number of second-order features: one for each pair of directions."""
        return self.directions * (self.directions + 1) // 2
