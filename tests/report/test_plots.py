"""Plots are PNG files of the size asked for."""

import io

from PIL import Image

from hubtune.report.plots import draw_plot


def test_a_plot_is_a_png_file():
    content = draw_plot(lambda axes: axes.plot([1, 2], [3, 4], label="a"), size=(4, 2))
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("PNG", (600, 300))
