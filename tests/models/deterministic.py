"""Weights and pictures that any program can make anew, from names, shapes and sizes alone.

Two implementations whose state dicts have the same keys and shapes get the same weights. Needs NumPy only:
interpreters that have another implementation, and no hubtune, import it.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Return float32 arrays for the keys and shapes of a state dict with Paddle's layouts.

    They keep the signal alive through a deep network, so that the scores depend on the picture and not on the
    biases alone, and every layer matters.
    """
    return {key: _values(key, shape) for key, shape in shapes.items()}


def _values(key: str, shape: Sequence[int]) -> np.ndarray:
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


def image(height: int, width: int) -> np.ndarray:
    """Return one normalised picture of coloured patches with some noise, ``[1, 3, height, width]``."""
    random = np.random.default_rng([height, width])
    patches = np.kron(random.standard_normal((3, 8, 8)), np.ones((-(-height // 8), -(-width // 8))))
    noise = random.standard_normal((3, height, width))
    return (patches[None, :, :height, :width] + 0.3 * noise).astype(np.float32)
