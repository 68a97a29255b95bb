"""Draw where a model looked onto an image."""

import numpy as np
from PIL import Image


def draw_heat(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Tint an image where a model looked: warm colours, and a white line at half of the maximum.

    Args:
        image: in mode ``RGB``.
        heat: of :meth:`Explanation.heat`, for the image's size.
    """
    pixels = np.asarray(image, np.float32)
    strength = (0.65 * heat)[..., None]
    tinted = pixels * (1 - strength) + np.array([255, 96, 0], np.float32) * strength
    hot = heat >= 0.5
    padded = np.pad(hot, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tinted[hot & ~inner] = 255
    return Image.fromarray(tinted.astype(np.uint8))
