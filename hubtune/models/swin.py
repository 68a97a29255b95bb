"""Swin Transformer: attention inside windows that are shifted in every second block.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows"
(https://arxiv.org/abs/2103.14030), with the key names of PaddleClas's
``legendary_models/swin_transformer.py``.

A stage whose map at the training size is no larger than one window does not shift, as in the paper's code, in
Hugging Face's transformers and in PaddleClas up to 2.5.2, which already names the same weights. PaddleClas
2.6.0 shifts there too, and so gives other scores with the same weights. Square pictures of other sizes are
treated as there: maps are padded with zeros to whole windows.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import TruncatedNormal

from hubtune.models.backbone import Backbone, Stage, Tensors, paddleclas, stages_of
from hubtune.models.initial_values import STANDARD_DEVIATION, truncated_normal_weights
from hubtune.models.transformer import MLP, DropPath, attend

_PATCH = 4
_WINDOW = 7
_SHIFT = _WINDOW // 2
_INPUT_SIZE = 224
# Far enough below every product of a query and a key, as in the paper's code.
_FORBIDDEN = -100.0


def _pad_to_multiple(maps: paddle.Tensor, side: int) -> paddle.Tensor:
    """Add rows and columns of zeros to ``[N, h, w, D]`` until ``side`` divides height and width."""
    _, height, width, _ = maps.shape
    bottom, right = -height % side, -width % side
    return F.pad(maps, [0, right, 0, bottom], data_format="NHWC") if bottom or right else maps


def _to_windows(maps: paddle.Tensor) -> paddle.Tensor:
    """Cut ``[N, h, w, D]`` into windows, ``[N · windows, tokens, D]``."""
    _, height, width, size = maps.shape
    rows = maps.reshape([-1, height // _WINDOW, _WINDOW, width // _WINDOW, _WINDOW, size])
    return rows.transpose([0, 1, 3, 2, 4, 5]).reshape([-1, _WINDOW * _WINDOW, size])


def _from_windows(windows: paddle.Tensor, height: int, width: int) -> paddle.Tensor:
    """Put the windows of :func:`_to_windows` together again, to ``[N, height, width, D]``."""
    size = windows.shape[-1]
    rows = windows.reshape([-1, height // _WINDOW, width // _WINDOW, _WINDOW, _WINDOW, size])
    return rows.transpose([0, 1, 3, 2, 4, 5]).reshape([-1, height, width, size])


def _relative_positions() -> np.ndarray:
    """Return a number for the offset between each two tokens of a window, ``[tokens, tokens]``."""
    places = np.stack(np.meshgrid(np.arange(_WINDOW), np.arange(_WINDOW), indexing="ij")).reshape(2, -1)
    down, right = places[:, :, None] - places[:, None, :] + _WINDOW - 1
    return down * (2 * _WINDOW - 1) + right


def _mask_of_shifted(height: int, width: int) -> paddle.Tensor:
    """Return the mask between tokens that only the shift joined, ``[windows, 1, tokens, tokens]``."""

    def regions(side: int) -> np.ndarray:
        return np.digitize(np.arange(side), [side - _WINDOW, side - _SHIFT])

    numbers = regions(height)[:, None] * 3 + regions(width)
    windows = _to_windows(paddle.to_tensor(numbers[None, :, :, None].astype("float32"))).squeeze(-1)
    apart = windows.unsqueeze(1) != windows.unsqueeze(2)
    return (apart.astype("float32") * _FORBIDDEN).unsqueeze(1)


class WindowAttention(nn.Layer):
    """Attention among the tokens of a window, with a learned bias for each offset between two tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._scale = (width // heads) ** -0.5
        self.relative_position_bias_table = self.create_parameter(
            [(2 * _WINDOW - 1) ** 2, heads], default_initializer=TruncatedNormal(std=STANDARD_DEVIATION)
        )
        self.register_buffer("relative_position_index", paddle.to_tensor(_relative_positions(), "int64"))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, windows: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
        """Map ``[N · windows, tokens, width]``, one sample after the other, to the same shape.

        The mask is added to the attention of each window, ``[windows, 1, tokens, tokens]``.
        """
        tokens = windows.shape[1]
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.reshape([tokens, tokens, self._heads]).transpose([2, 0, 1]).unsqueeze(0)
        if mask is not None:
            bias = bias + mask
        return self.proj(attend(self.qkv(windows), self._heads, self._scale, bias))


class SwinBlock(nn.Layer):
    """Window attention and an MLP, each behind a normalisation and added to its input.

    If it is ``shifted``, the windows lie half a window further right and down.
    """

    def __init__(self, width: int, heads: int, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self._shifted = shifted
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width)

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        maps = maps + self.drop_path(self._attended(self.norm1(maps)))
        return maps + self.drop_path(self.mlp(self.norm2(maps)))

    def _attended(self, maps: paddle.Tensor) -> paddle.Tensor:
        _, height, width, _ = maps.shape
        maps = _pad_to_multiple(maps, _WINDOW)
        _, padded_height, padded_width, _ = maps.shape
        mask = None
        if self._shifted:
            maps = paddle.roll(maps, [-_SHIFT, -_SHIFT], [1, 2])
            mask = _mask_of_shifted(padded_height, padded_width)
        maps = _from_windows(self.attn(_to_windows(maps), mask), padded_height, padded_width)
        if self._shifted:
            maps = paddle.roll(maps, [_SHIFT, _SHIFT], [1, 2])
        return maps[:, :height, :width]


class PatchEmbedding(nn.Layer):
    """One token for each patch of 4×4 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2D(3, width, _PATCH, _PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Map pictures ``[N, 3, h, w]`` to ``[N, h / 4, w / 4, width]``, both rounded up."""
        padded = _pad_to_multiple(images.transpose([0, 2, 3, 1]), _PATCH).transpose([0, 3, 1, 2])
        return self.norm(self.proj(padded).transpose([0, 2, 3, 1]))


class PatchMerging(nn.Layer):
    """Join each four neighbouring tokens to one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias_attr=False)

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, h, w, width]`` to ``[N, h / 2, w / 2, 2 · width]``, both rounded up."""
        maps = _pad_to_multiple(maps, 2)
        corners = [maps[:, down::2, right::2] for right in (0, 1) for down in (0, 1)]
        return self.reduction(self.norm(paddle.concat(corners, axis=-1)))


class SwinStage(nn.Layer):
    """Blocks at one resolution, followed by the step to the next one where there is one."""

    def __init__(self, blocks: Sequence[SwinBlock], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.LayerList(blocks)
        self.downsample = downsample

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, h, w, width]`` to ``[N, h / 2, w / 2, 2 · width]``; the last stage keeps the shape."""
        for block in self.blocks:
            maps = block(maps)
        return maps if self.downsample is None else self.downsample(maps)


class SwinTransformer(nn.Layer):
    """Four stages of ``depths`` blocks and a linear head on the mean of the normalised tokens.

    Each stage but the first doubles the ``width`` of a token. The rate of the stochastic depth grows evenly
    from zero in the first block to ``drop_path`` in the last.
    """

    def __init__(
        self,
        width: int,
        depths: Sequence[int],
        heads: Sequence[int],
        drop_path: float,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(width)
        rates = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        side = _INPUT_SIZE // _PATCH
        stages = []
        for number, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            blocks = [
                SwinBlock(width, count, block % 2 == 1 and side > _WINDOW, next(rates))
                for block in range(depth)
            ]
            last = number == len(depths) - 1
            stages.append(SwinStage(blocks, None if last else PatchMerging(width)))
            if not last:
                width, side = 2 * width, side // 2
        self.layers = nn.LayerList(stages)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        truncated_normal_weights(self, (nn.Linear,))

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        maps = self.patch_embed(images)
        for stage in self.layers:
            maps = stage(maps)
        return self.head(mean_of_tokens(to_tokens(self.norm(maps))))


def to_tokens(maps: paddle.Tensor) -> paddle.Tensor:
    """Turn maps ``[N, h, w, D]`` into tokens ``[N, h · w, D]``."""
    return maps.flatten(1, 2)


def mean_of_tokens(tokens: paddle.Tensor) -> paddle.Tensor:
    """Average ``[N, tokens, D]`` to ``[N, D]``."""
    return tokens.mean(1)


def swin_stages(network: SwinTransformer) -> list[Stage]:
    *earlier, last = network.layers
    return stages_of(
        [network.patch_embed],
        *([stage] for stage in earlier),
        [last, network.norm, to_tokens, mean_of_tokens],
        head=[network.head],
    )


def without_masks(tensors: Tensors) -> Tensors:
    """Leave out the shifted windows' masks, which PaddleClas up to 2.5.2 wrote: they are computed."""
    return {key: value for key, value in tensors.items() if not key.endswith(".attn_mask")}


def _backbone(
    size: str,
    form: tuple[int, int, float],
    parameters: int,
    *weights: tuple[str, float, float],
) -> Backbone:
    """Return the record of a network.

    ``form`` is the width, the depth of the third stage and the stochastic depth; ``weights`` are the end of
    each file's name, its top-1 and its top-5. A head is 32 channels wide.
    """
    width, depth, drop_path = form
    heads = width // 32
    class_name, name = f"SwinTransformer_{size}", f"swin_{size}_imagenet"
    first, *others = (
        paddleclas(
            class_name + end,
            top1,
            top5,
            names=(name + end, class_name + end) if number else (),
            legendary=True,
        )
        for number, (end, top1, top5) in enumerate(weights)
    )
    return Backbone(
        name=name,
        build=partial(
            SwinTransformer,
            width,
            (2, 2, depth, 2),
            (heads, 2 * heads, 4 * heads, 8 * heads),
            drop_path,
        ),
        stages=swin_stages,
        taps=("stage4.2",),
        width=8 * width,
        parameters=parameters,
        input_size=_INPUT_SIZE,
        weights=first,
        variants=tuple(others),
        aliases=(class_name,),
        interpolation="bicubic",
        translate=without_masks,
    )


# Pretrained on the 22,000 classes of ImageNet, then trained on its usual 1000.
_22K = "_22kto1k"
BACKBONES = (
    _backbone("tiny_patch4_window7_224", (96, 6, 0.2), 28_288_354, ("", 81.10, 95.49)),
    _backbone("small_patch4_window7_224", (96, 18, 0.3), 49_606_258, ("", 83.21, 96.22)),
    _backbone(
        "base_patch4_window7_224", (128, 18, 0.5), 87_768_224, ("", 83.37, 96.43), (_22K, 85.16, 97.48)
    ),
    _backbone("large_patch4_window7_224", (192, 18, 0.1), 196_532_476, (_22K, 86.19, 97.88)),
)
