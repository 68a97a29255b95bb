"""Line plots as PNG pictures."""

import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_plot(fill: "Callable[[Axes], object]", *, size: tuple[float, float]) -> bytes:
    """Draw a plot with a grid and a legend; a PNG picture.

    Args:
        fill: draws into the axes, and labels them.
        size: width and height, inches of 150 pixels.
    """
    from matplotlib.figure import (
        Figure,  # here, as it takes a second; and not pyplot, whose state is the user's
    )

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    fill(axes)
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format="png")
    return content.getvalue()
