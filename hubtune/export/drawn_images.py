"""Draws images of the kinds that programs read differently, to compare an export with hubtune on them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hubtune.rng import rng_for

_ORIENTATION = 0x0112  # EXIF 2.32
_QUARTER_TURN = 6


def draw_images(folder: Path) -> list[Path]:
    """Write the images into a folder, and return their paths; they are the same every time."""
    paths = []
    for name, draw in _DRAWN.items():
        draw(folder / name)
        paths.append(folder / name)
    return paths


def _texture(name: str, width: int, height: int, channels: int = 3) -> Image.Image:
    """Draw blots of all sizes, in ``L``, ``RGB``, ``RGBA`` or ``CMYK``."""
    random = rng_for(0, "drawn", name)
    layers = np.zeros((height, width, channels), np.float32)
    for cells in (2, 5, 12, 30):
        values = random.integers(0, 256, (cells, cells, channels), np.uint8)
        for channel in range(channels):
            grown = Image.fromarray(values[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            layers[..., channel] += np.asarray(grown, np.float32) / 4
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    pixels = np.rint(layers).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def _draw_turned(path: Path) -> None:
    # So large that it is decoded at a fraction of its size, whose sides are no whole numbers.
    image = _texture(path.name, 1603, 1203)
    exif = image.getexif()
    exif[_ORIENTATION] = _QUARTER_TURN
    image.save(path, quality=90, exif=exif)


def _draw_palette(path: Path) -> None:
    _texture(path.name, 240, 180).quantize(32).save(path, transparency=3)


def _draw_deep(path: Path) -> None:
    values = np.asarray(_texture(path.name, 200, 260, 1)).astype(np.uint16)
    Image.fromarray(values * 257).save(path)


def _draw_cmyk(path: Path) -> None:
    image = _texture(path.name, 300, 200, 4)
    Image.merge("CMYK", image.split()).save(path, quality=95)


def _draw_animation(path: Path) -> None:
    frames = [_texture(f"{path.name} {number}", 160, 120).quantize(64) for number in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)


def _drawer(width: int, height: int, channels: int = 3) -> Callable[[Path], None]:
    return lambda path: _texture(path.name, width, height, channels).save(path)


_DRAWN: dict[str, Callable[[Path], None]] = {
    "landscape.png": _drawer(320, 240),
    "portrait.jpg": _drawer(337, 450),
    "large.jpg": _drawer(1801, 1350),
    "turned.jpg": _draw_turned,
    "grey.jpg": _drawer(250, 250, 1),
    "deep.png": _draw_deep,
    "opacity.png": _drawer(260, 200, 4),
    "palette.png": _draw_palette,
    "cmyk.jpg": _draw_cmyk,
    "panorama.png": _drawer(640, 60),
    "tower.png": _drawer(30, 400),
    "tiny.png": _drawer(7, 5),
    "pixel.png": _drawer(1, 1),
    "animation.gif": _draw_animation,
}
