"""Weights and images from names, shapes and sizes alone; interpreters without hubtune import it, too."""

import hashlib
import zlib

import numpy as np


def weights(shapes):
    """Return float32 arrays under which a deep network's scores depend on the image and every layer."""
    return {key: _values(key, shape) for key, shape in shapes.items()}


def _values(key, shape):
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    last = key.rpartition(".")[2]
    if last.endswith("_variance"):
        values = 0.9 + 0.1 * np.abs(noise)
    elif last == "gamma":
        values = 0.3 + 0.05 * noise
    elif last == "relative_position_bias_table" or len(shape) == 3:
        values = 0.5 * noise
    elif len(shape) == 4:
        # PP-LCNet has a hard swish behind each, which takes more away than a ReLU; EfficientNet gates, too.
        gains = {
            ".dw_conv.": 3.5,
            ".pw_conv.": 3.5,
            "._dcn.": 8,
            "._depthwise_conv.": 8,
            "._project_conv.": 0.2,
        }
        gain = next((gain for part, gain in gains.items() if part in key), 2)
        values = noise * np.sqrt(gain / np.prod(shape[1:]))
    elif len(shape) == 2:
        values = noise * np.sqrt(1 / shape[0])
    elif last in ("weight", "scale") or last.endswith("_scale"):
        # The residuals of EfficientNet and LeViT are small: where they grow, gates and attention make
        # rounding errors grow, too.
        residual = any(part in key for part in ("._pcn.", ".m.2.bn.", ".m.proj.1.bn."))
        values = (0.3 if residual else 1) * (1 + 0.1 * noise)
    else:
        values = 0.05 * noise
    return values.astype(np.float32)


def image(height, width):
    """Return one normalised picture of coloured patches with some noise, ``[1, 3, height, width]``."""
    random = np.random.default_rng([height, width])
    patches = np.kron(random.standard_normal((3, 8, 8)), np.ones((-(-height // 8), -(-width // 8))))
    noise = random.standard_normal((3, height, width))
    return (patches[None, :, :height, :width] + 0.3 * noise).astype(np.float32)


def digest(pairs):
    """Return a checksum of pairs of names, or of names and shapes, in any order."""
    lines = sorted(f"{first} {second}" for first, second in pairs.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
