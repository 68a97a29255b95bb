"""Draw where a model looked onto an image."""

from pathlib import Path

import numpy as np
from PIL import Image

from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.images.decode import decode
from hubtune.errors import writing
from hubtune.inference.explanation import ImageExplanation
from hubtune.text import safe_file_name


def draw_heat(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Tint an image where a model looked: warm colours, and a white line at half of the maximum.

    Args:
        image: in mode ``RGB``.
        heat: of :meth:`ImageExplanation.heat`, for the image's size.
    """
    pixels = np.asarray(image, np.float32)
    strength = (0.65 * heat)[..., None]
    tinted = pixels * (1 - strength) + np.array([255, 96, 0], np.float32) * strength
    hot = heat >= 0.5
    padded = np.pad(hot, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tinted[hot & ~inner] = 255
    return Image.fromarray(tinted.astype(np.uint8))


def save_explanation(
    folder: Path, number: int, row: ImageExplanation, *, npy: bool, bits: int = FULL_BITS
) -> list[Path]:
    """Write the tinted image as ``00001-<name>.jpg``, and with ``npy`` its map; return the files.

    Files of 16 bits are scaled from ``bits``.

    Raises:
        MachineError: a file cannot be written.
        ImageError: the image cannot be read any more.
    """
    image = decode(row.path, bits=bits)
    heat = row.heat(*image.size)
    stem = folder / f"{number:05}-{safe_file_name(Path(row.path).stem)}"
    files = [stem.with_name(f"{stem.name}.jpg")]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        draw_heat(image, heat).save(files[0], quality=90)
        if npy:
            files.append(stem.with_name(f"{stem.name}.npy"))
            np.save(files[1], heat)
    return files
