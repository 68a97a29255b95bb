"""The last layer of a classifier whose classes were merged."""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

_LEAST = 1e-30  # a probability whose logarithm is finite in float32


class MergedOutputs(nn.Layer):
    """Maps logits ``[N, outputs]`` to those of groups, ``[N, groups]``; each output is in one group.

    The probability of a group is the sum of those of its outputs.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        sums = np.zeros((sum(map(len, groups)), len(groups)), np.float32)
        for number, group in enumerate(groups):
            sums[[*group], number] = 1
        self.register_buffer("sums", paddle.to_tensor(sums), persistable=False)

    def forward(self, logits: paddle.Tensor) -> paddle.Tensor:
        # Logarithms of probabilities are logits: a softmax changes nothing but their rounding.
        return paddle.log(paddle.matmul(functional.softmax(logits), self.sums) + _LEAST)
