"""Initial random values of parameters that differ from Paddle's defaults."""

from paddle import nn
from paddle.nn.initializer import Constant, KaimingNormal, TruncatedNormal

STANDARD_DEVIATION = 0.02
"""Standard deviation of the truncated normal distribution of transformers' initial weights."""


def kaiming_convolutions(network: nn.Layer) -> None:
    """Draw the weights of all convolutions after He et al. (https://arxiv.org/abs/1502.01852).

    Paddle's default counts the input channels of all groups, which makes depthwise weights far too small.
    """
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D):
            KaimingNormal()(layer.weight)


def truncated_normal_weights(network: nn.Layer, kinds: tuple[type[nn.Layer], ...]) -> None:
    """Draw the weights of all layers of these kinds from a truncated normal; their biases become zero."""
    for layer in network.sublayers():
        if isinstance(layer, kinds):
            TruncatedNormal(std=STANDARD_DEVIATION)(layer.weight)
            if layer.bias is not None:
                Constant(0.0)(layer.bias)
