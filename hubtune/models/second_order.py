"""Second-order features: covariances of the channels of late maps, beside the mean of the last one.

Lin, RoyChowdhury and Maji, "Bilinear CNNs for Fine-grained Visual Recognition" (2015), normalise them by the
signed square root and to a fixed length; Gao et al., "Compact Bilinear Pooling" (2016), project wide maps.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import nn

from hubtune.errors import ModelError
from hubtune.models.taps import EPSILON, LEAST, NOISE, Tap
from hubtune.rng import rng_for


class SecondOrder(nn.Layer):
    """Maps the outputs of taps to their normalised covariances."""

    def __init__(self, taps: Sequence[Tap]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        for number, tap in enumerate(taps):
            used = tap.directions
            if used < tap.channels:
                directions = paddle.to_tensor(_directions(tap.channels, used))
                self.register_buffer(f"projection{number}", directions)
            rows, columns = np.triu_indices(used)
            triangle = paddle.to_tensor((rows * used + columns).astype(np.int64))
            self.register_buffer(f"triangle{number}", triangle, persistable=False)

    def projected(self, outputs: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """Return the maps ``[N, directions, h, w]`` of taps that are maps; others stay as they are."""
        maps = []
        for number, values in enumerate(outputs):
            projection = getattr(self, f"projection{number}", None)
            if projection is not None and values.ndim == 4:
                kernel = projection.unsqueeze([2, 3])
                values = nn.functional.conv2d(values, kernel)
            maps.append(values)
        return maps

    def forward(self, outputs: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Return the features ``[N, sum of widths]`` of the outputs of the taps, in their order.

        The mean square of each tap's features is 1 for each image, or below if its map is constant.
        """
        blocks = []
        for number, values in enumerate(outputs):
            # [N, channels, positions]
            values = values.transpose([0, 2, 1]) if values.ndim == 3 else values.flatten(2)
            if values.shape[1] != (tap := self.taps[number]).channels:
                raise ModelError(
                    f"The network's {tap.name} has {values.shape[1]} channels, not {tap.channels}"
                )
            projection = getattr(self, f"projection{number}", None)
            if projection is not None:
                values = paddle.matmul(projection, values)
            # Variation of the size of rounding errors is noise, and must not be scaled up.
            noise = NOISE * (values * values).mean(axis=[1, 2], keepdim=True)
            values = values - values.mean(axis=2, keepdim=True)
            variance = (values * values).mean(axis=[1, 2], keepdim=True)
            values = values / paddle.sqrt(variance + noise + LEAST)
            covariances = paddle.matmul(values, values, transpose_y=True)
            upper = paddle.gather(covariances.flatten(1), getattr(self, f"triangle{number}"), axis=1)
            upper = _with_mean_square_1(upper, [1])
            rooted = upper / paddle.sqrt(paddle.sqrt(upper * upper + EPSILON**2) + EPSILON)
            blocks.append(_with_mean_square_1(rooted, [1]))
        return paddle.concat(blocks, axis=1)


def _with_mean_square_1(values: paddle.Tensor, axes: list[int]) -> paddle.Tensor:
    # The term keeps what is left of a constant map small.
    return values / paddle.sqrt((values * values).mean(axis=axes, keepdim=True) + EPSILON**2)


def _directions(channels: int, count: int) -> np.ndarray:
    """Return orthonormal random directions ``[count, channels]``.

    They are stored in each model, so that models do not depend on the last bits of this machine's rounding.
    """
    values = rng_for(0, "directions", channels).standard_normal((channels, count))
    return np.ascontiguousarray(np.linalg.qr(values)[0].T.astype(np.float32))
