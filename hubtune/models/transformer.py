"""The parts of transformers that several families share.

Vaswani et al., "Attention Is All You Need" (https://arxiv.org/abs/1706.03762); Dosovitskiy et al., "An Image
is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929).
"""

import paddle
from paddle import nn
from paddle.nn import functional as F


class DropPath(nn.Layer):
    """Stochastic depth: in training, a sample's residual branch is left out with a probability of ``rate``.

    The others are scaled up for it. Huang et al., "Deep Networks with Stochastic Depth"
    (https://arxiv.org/abs/1603.09382).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def forward(self, branch: paddle.Tensor) -> paddle.Tensor:
        if not self.training or self._rate == 0:
            return branch
        probability = paddle.full([branch.shape[0], *[1] * (branch.ndim - 1)], 1 - self._rate, branch.dtype)
        return branch * paddle.bernoulli(probability) / (1 - self._rate)


class MLP(nn.Layer):
    """Two linear layers with GELU in between, on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


def attend(
    joined: paddle.Tensor, heads: int, scale: float, bias: paddle.Tensor | None = None
) -> paddle.Tensor:
    """Multi-head attention: each token becomes a weighted mean of all tokens' values, for every head.

    ``joined`` are queries, keys and values, ``[N, tokens, 3 · width]``; the result is ``[N, tokens, width]``.
    ``scale`` is the factor of the products, to which ``bias`` ``[G, heads, tokens, tokens]`` is added: to the
    first ``G`` of the ``N``, to the next ``G``, and so on.
    """
    # N is left open: an exported network takes any.
    _, tokens, size = joined.shape
    parts = joined.reshape([-1, tokens, 3, heads, size // (3 * heads)]).transpose([2, 0, 3, 1, 4])
    queries, keys, values = parts[0], parts[1], parts[2]  # OpenVINO knows no `unbind`
    products = paddle.matmul(queries * scale, keys, transpose_y=True)
    if bias is not None:
        products = products.reshape([-1, *bias.shape]) + bias
        products = products.reshape([-1, heads, tokens, tokens])
    weights = F.softmax(products, axis=-1)
    return paddle.matmul(weights, values).transpose([0, 2, 1, 3]).flatten(2)
