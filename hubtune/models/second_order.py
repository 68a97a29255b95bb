"""Second-order features: covariances of the channels of earlier stages, beside the mean of the last map.

Lin, RoyChowdhury and Maji, "Bilinear CNNs for Fine-grained Visual Recognition" (2015), normalise them by the
signed square root and to unit length; Gao et al., "Compact Bilinear Pooling" (2016), project wide maps.
"""

from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import nn

from hubtune.models.backbone import Tap
from hubtune.rng import rng_for

# Wider maps are projected to as many channels, by fixed random directions.
MOST_CHANNELS = 160
_PROJECTED = 128
# Added below roots: it bounds their gradients, and is small beside the variances of a trained network.
_EPSILON = 1e-6


def second_order_widths(taps: Sequence[Tap]) -> list[int]:
    """Return the number of second-order features of each tap."""
    return [channels * (channels + 1) // 2 for channels in map(_used_channels, taps)]


class SecondOrder(nn.Layer):
    """The normalised covariances of a network's taps, for the images that the network ran last.

    Attributes:
        widths: number of features of each tap.
    """

    def __init__(self, network: nn.Layer, taps: Sequence[Tap]) -> None:
        """Listen to the outputs of the tapped layers of ``network``, which stays unchanged."""
        super().__init__()
        self.widths = second_order_widths(taps)
        self._outputs: dict[int, paddle.Tensor] = {}
        layers = dict(network.named_sublayers())
        self._projections: list[paddle.Tensor | None] = []
        self._triangles: list[paddle.Tensor] = []
        for number, tap in enumerate(taps):
            layers[tap.layer].register_forward_post_hook(self._keep_as(number))
            used = _used_channels(tap)
            projection = None
            if used < tap.channels:
                projection = paddle.to_tensor(_directions(tap.channels, used))
                self.register_buffer(f"projection{number}", projection)
            self._projections.append(projection)
            rows, columns = np.triu_indices(used)
            triangle = paddle.to_tensor((rows * used + columns).astype(np.int64))
            self.register_buffer(f"triangle{number}", triangle, persistable=False)
            self._triangles.append(triangle)

    def forward(self) -> paddle.Tensor:
        """Return the features ``[N, sum(widths)]`` of the images that the network ran last."""
        blocks = []
        for number, (projection, triangle) in enumerate(zip(self._projections, self._triangles, strict=True)):
            values = self._outputs.pop(number)
            # [N, channels, positions]; a transformer's tokens are [N, tokens, channels].
            values = values.transpose([0, 2, 1]) if values.ndim == 3 else values.flatten(2)
            if projection is not None:
                values = paddle.matmul(projection, values)
            values = values - values.mean(axis=2, keepdim=True)
            # Divided by the mean variance, beside which epsilon is small whatever the network's scale.
            variance = (values * values).mean(axis=[1, 2], keepdim=True)
            values = values / paddle.sqrt(variance + _EPSILON)
            covariances = paddle.matmul(values, values, transpose_y=True)
            upper = paddle.gather(covariances.flatten(1), triangle, axis=1)
            upper = upper / paddle.sqrt((upper * upper).mean(axis=1, keepdim=True) + _EPSILON)
            # The signed root; the epsilon bounds its gradient at 0.
            rooted = upper / paddle.sqrt(paddle.sqrt(upper * upper + _EPSILON**2) + _EPSILON)
            length = paddle.sqrt((rooted * rooted).mean(axis=1, keepdim=True) + _EPSILON)
            blocks.append(rooted / (length * rooted.shape[1] ** 0.5))
        return paddle.concat(blocks, axis=1)

    def _keep_as(self, number: int) -> Callable[[nn.Layer, object, paddle.Tensor], None]:
        def keep(_: nn.Layer, __: object, output: paddle.Tensor) -> None:
            self._outputs[number] = output

        return keep


def _used_channels(tap: Tap) -> int:
    return tap.channels if tap.channels <= MOST_CHANNELS else _PROJECTED


def _directions(channels: int, count: int) -> np.ndarray:
    """Return orthonormal random directions ``[count, channels]``, the same on every machine."""
    values = rng_for(0, "directions", channels).standard_normal((channels, count))
    return np.ascontiguousarray(np.linalg.qr(values)[0].T.astype(np.float32))
