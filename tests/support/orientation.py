"""Images that are stored in each EXIF orientation."""

import numpy as np
from PIL import Image

# Orientation → how stored pixels come from upright ones (EXIF 2.32, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def save_oriented(path, upright, orientation, **options):
    """Save an image so that a reader has to apply an orientation; one that does not exist changes nothing."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = STORED.get(orientation, STORED[1])(upright)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)


def four_quarters(width=48, height=32):
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image
