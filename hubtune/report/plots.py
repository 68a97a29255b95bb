"""Line plots as PNG images."""

import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_plot(fill: "Callable[[Axes], object]", *, size: tuple[float, float]) -> bytes:
    """Return a PNG file of a plot with a grid and a legend; ``fill`` draws into the axes and labels them.

    ``size`` is width and height in inches of 150 pixels.
    """
    # Imported here, because it takes a second. Not pyplot, whose global state belongs to the user.
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs every font it finds
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    fill(axes)
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format="png")
    return content.getvalue()
