"""LeViT: a transformer on the maps of a few convolutions, for quick prediction.

Graham et al., "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference"
(https://arxiv.org/abs/2104.01136), with the key names of PaddleClas's ``model_zoo/levit.py``. As there, the
head that learns from a teacher is left out. Attention has a bias for each distance, so that images have one
size.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, Stage, paddleclas, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import conv_bn
from hubtune.models.swin import mean_of_tokens
from hubtune.models.transformer import DropPath

_SIDE = 14  # of the map behind the convolutions, places
_VALUES = 2  # width of a value, as a multiple of a key's
_SUBSAMPLED_VALUES = 4
_MLP = 2


class LinearBN(nn.Layer):
    """A linear layer without bias and batch normalisation, on tokens."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.c = nn.Linear(inputs, outputs, bias_attr=False)
        self.bn = nn.BatchNorm1D(outputs)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, tokens, inputs]`` to ``[N, tokens, outputs]``."""
        outputs = self.c(tokens)
        return self.bn(outputs.flatten(0, 1)).reshape([-1, *outputs.shape[1:]])


def _distances(side: int, stride: int) -> np.ndarray:
    """Return a number for the distance of each query from each key, ``[queries, keys]``.

    Keys are the places of a map of ``side`` squared, queries those at each ``stride``.
    """
    away = np.abs(np.arange(0, side, stride)[:, None] - np.arange(side))
    return (side * away[:, None, :, None] + away[None, :, None, :]).reshape(away.shape[0] ** 2, side**2)


class PositionBias(nn.Layer):
    """Base of the two kinds of attention: a learned bias for each head and distance."""

    def __init__(self, heads: int, key: int, side: int, stride: int) -> None:
        super().__init__()
        self._heads, self._key = heads, key
        self.attention_biases = self.create_parameter([heads, side**2], is_bias=True)
        self.register_buffer("attention_bias_idxs", paddle.to_tensor(_distances(side, stride), "int64"))

    def _split(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, tokens, heads · width]`` to ``[N, heads, tokens, width]``."""
        # N is left open: an exported network takes any.
        _, count, width = tokens.shape
        return tokens.reshape([-1, count, self._heads, width // self._heads]).transpose([0, 2, 1, 3])

    def _attend(self, queries: paddle.Tensor, keys: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, heads, tokens, …]`` to the weighted means of the values, ``[N, queries, …]``."""
        rows, columns = self.attention_bias_idxs.shape
        bias = paddle.gather(self.attention_biases, self.attention_bias_idxs.flatten(), axis=1)
        products = paddle.matmul(queries, keys, transpose_y=True) * self._key**-0.5
        weights = F.softmax(products + bias.reshape([self._heads, rows, columns]), axis=-1)
        return paddle.matmul(weights, values).transpose([0, 2, 1, 3]).flatten(2)


class Attention(PositionBias):
    """Attention between all tokens of a map of ``side`` squared."""

    def __init__(self, width: int, key: int, heads: int, side: int) -> None:
        super().__init__(heads, key, side, 1)
        self.qkv = LinearBN(width, (2 + _VALUES) * key * heads)
        self.proj = nn.Sequential(nn.Hardswish(), LinearBN(_VALUES * key * heads, width))

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, tokens, width]`` to the same shape."""
        joined, key = self._split(self.qkv(tokens)), self._key
        return self.proj(self._attend(joined[..., :key], joined[..., key : 2 * key], joined[..., 2 * key :]))


class AttentionSubsample(PositionBias):
    """Attention of every second token of each direction to all tokens of a map of ``side`` squared."""

    def __init__(self, inputs: int, outputs: int, key: int, side: int) -> None:
        heads = inputs // key
        super().__init__(heads, key, side, 2)
        self._side = side
        self.kv = LinearBN(inputs, (1 + _SUBSAMPLED_VALUES) * key * heads)
        self.q = nn.Sequential(nn.Identity(), LinearBN(inputs, key * heads))
        self.proj = nn.Sequential(nn.Hardswish(), LinearBN(_SUBSAMPLED_VALUES * key * heads, outputs))

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, tokens, inputs]`` to ``[N, a quarter of the tokens, outputs]``."""
        maps = tokens.reshape([-1, self._side, self._side, tokens.shape[2]])[:, ::2, ::2]
        queries = self._split(self.q(maps.flatten(1, 2)))
        joined = self._split(self.kv(tokens))
        return self.proj(self._attend(queries, joined[..., : self._key], joined[..., self._key :]))


class Residual(nn.Layer):
    """A layer whose output is added to its input, with stochastic depth."""

    def __init__(self, layer: nn.Layer, drop_path: float) -> None:
        super().__init__()
        self.m = layer
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return tokens + self.drop_path(self.m(tokens))


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(LinearBN(width, _MLP * width), nn.Hardswish(), LinearBN(_MLP * width, width))


class LeViT(nn.Layer):
    """Four convolutions, three stages of blocks and a linear head on the mean of the tokens.

    ``widths``, ``depths`` and ``heads`` are those of each stage, ``key`` the width of a key.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        key: int,
        drop_path: float,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        sizes = [3, *(widths[0] // part for part in (8, 4, 2, 1))]
        layers: list[nn.Layer] = []
        for inputs, outputs in pairwise(sizes):
            layers += [conv_bn(inputs, outputs, 3, 2, activation=None, names=("c", "bn")), nn.Hardswish()]
        self.patch_embed = nn.Sequential(*layers[:-1])
        side, stages = _SIDE, []
        for stage, (width, depth, count) in enumerate(zip(widths, depths, heads, strict=True)):
            blocks: list[nn.Layer] = []
            if stage:
                blocks.append(AttentionSubsample(widths[stage - 1], width, key, side))
                blocks.append(Residual(_mlp(width), drop_path))
                side = -(-side // 2)
            for _ in range(depth):
                blocks.append(Residual(Attention(width, key, count, side), drop_path))
                blocks.append(Residual(_mlp(width), drop_path))
            stages.append(blocks)
        self.sizes = tuple(map(len, stages))
        self.blocks = nn.Sequential(*(block for blocks in stages for block in blocks))
        self.head = nn.Sequential(
            ("bn", nn.BatchNorm1D(widths[-1])), ("l", nn.Linear(widths[-1], num_classes))
        )
        kaiming_convolutions(self)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return self.head(mean_of_tokens(self.blocks(to_tokens(self.patch_embed(images)))))


def to_tokens(maps: paddle.Tensor) -> paddle.Tensor:
    """Turn maps ``[N, D, h, w]`` into tokens ``[N, h · w, D]``."""
    return maps.flatten(2).transpose([0, 2, 1])


def levit_stages(network: LeViT) -> list[Stage]:
    blocks = iter(network.blocks)
    *earlier, last = [[next(blocks) for _ in range(size)] for size in network.sizes]
    norm, linear = network.head
    return stages_of([network.patch_embed, to_tokens], *earlier, [*last, mean_of_tokens, norm], head=[linear])


# Widths, depths, heads, width of a key and stochastic depth, as of :class:`LeViT`.
_FORMS = {
    "128S": ((128, 256, 384), (2, 3, 4), (4, 6, 8), 16, 0.0),
    "128": ((128, 256, 384), (4, 4, 4), (4, 8, 12), 16, 0.0),
    "192": ((192, 288, 384), (4, 4, 4), (3, 5, 6), 32, 0.0),
    "256": ((256, 384, 512), (4, 4, 4), (4, 6, 8), 32, 0.0),
    "384": ((384, 512, 768), (4, 4, 4), (6, 9, 12), 32, 0.1),
}


def _backbone(size: str, parameters: int, top1: float, top5: float) -> Backbone:
    name = f"LeViT_{size}"
    return Backbone(
        name=f"{name.lower()}_imagenet",
        build=partial(LeViT, *_FORMS[size]),
        stages=levit_stages,
        # The last stage has 16 tokens, too few to vary.
        taps=("stage2",),
        width=_FORMS[size][0][-1],
        parameters=parameters,
        weights=paddleclas(name, top1, top5),
        aliases=(name,),
        size_multiple=None,
    )


BACKBONES = (
    _backbone("128S", 7_391_290, 75.98, 92.69),
    _backbone("128", 8_828_168, 78.10, 93.72),
    _backbone("192", 10_561_301, 79.34, 94.46),
    _backbone("256", 18_379_852, 80.85, 94.97),
    _backbone("384", 38_358_300, 81.91, 95.51),
)
