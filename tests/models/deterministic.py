"""Weights and images from names, shapes and sizes alone; interpreters without hubtune import it, too."""

import zlib

import numpy as np


def weights(shapes):
    """Return float32 arrays under which a deep network's scores depend on the image and every layer."""
    return {key: _values(key, shape) for key, shape in shapes.items()}


def _values(key, shape):
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    last = key.rpartition(".")[2]
    if last == "_variance":
        values = 0.9 + 0.1 * np.abs(noise)
    elif last == "gamma":
        values = 0.3 + 0.05 * noise
    elif last == "relative_position_bias_table" or len(shape) == 3:
        values = 0.5 * noise
    elif len(shape) == 4:
        # PP-LCNet has a hard swish behind each, which takes more away than a ReLU.
        gain = 3.5 if ".dw_conv." in key or ".pw_conv." in key else 2
        values = noise * np.sqrt(gain / np.prod(shape[1:]))
    elif len(shape) == 2:
        values = noise * np.sqrt(1 / shape[0])
    elif last in ("weight", "scale"):
        values = 1 + 0.1 * noise
    else:
        values = 0.05 * noise
    return values.astype(np.float32)


def image(height, width):
    """Return one normalised picture of coloured patches with some noise, ``[1, 3, height, width]``."""
    random = np.random.default_rng([height, width])
    patches = np.kron(random.standard_normal((3, 8, 8)), np.ones((-(-height // 8), -(-width // 8))))
    noise = random.standard_normal((3, height, width))
    return (patches[None, :, :height, :width] + 0.3 * noise).astype(np.float32)
