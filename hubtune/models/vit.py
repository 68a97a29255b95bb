"""Vision transformers: ViT with the weights for ImageNet, and DINOv2's ViT-S/14 and ViT-B/14.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale"
(https://arxiv.org/abs/2010.11929), with the key names of PaddleClas's ``model_zoo/vision_transformer.py``.
Its ViT_small is not the ViT-S of later papers: 8 blocks of the width 768 with 8 heads, whose attention has no
bias and is scaled by the width of a token, not of a head.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision"
(https://arxiv.org/abs/2304.07193): a ViT with a learned scale on each residual branch, and positions that are
interpolated for pictures of other sizes. It was trained without classes: its file has no head. Darcet et al.,
"Vision Transformers Need Registers" (https://arxiv.org/abs/2309.16588), give it four more tokens, and smooth
positions before they are reduced.
"""

import re
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import TruncatedNormal

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, Tensors, paddleclas, stages_of
from hubtune.models.initial_values import STANDARD_DEVIATION, truncated_normal_weights
from hubtune.models.transformer import MLP, attend

_STAGES = 4


@dataclass(frozen=True)
class Form:
    """What distinguishes one vision transformer from another.

    Attributes:
        patch, size: sides in pixels, of a patch and of the picture that the positions were learned for.
        width, depth, heads: width of a token, number of blocks and of heads.
        mlp: width inside the MLP, as a multiple of the width of a token.
        epsilon: of the normalisations.
        qkv_bias: whether queries, keys and values have a bias.
        scale: of the products of queries and keys; ``None`` for one over the root of a head's width.
        layer_scale: whether each residual branch is scaled channel by channel.
        registers: number of learned tokens without a position, behind the class token.
        interpolated: whether other sizes of pictures are accepted.
    """

    patch: int
    size: int
    width: int
    depth: int
    heads: int
    mlp: int
    epsilon: float
    qkv_bias: bool = True
    scale: float | None = None
    layer_scale: bool = False
    registers: int = 0
    interpolated: bool = False


_BASE_16 = Form(patch=16, size=224, width=768, depth=12, heads=12, mlp=4, epsilon=1e-6)
_LARGE_16 = replace(_BASE_16, width=1024, depth=24, heads=16)
_SMALL_16 = replace(_BASE_16, depth=8, heads=8, mlp=3, epsilon=1e-5, qkv_bias=False, scale=768**-0.5)
_DINOV2_BASE_14 = replace(_BASE_16, patch=14, size=518, layer_scale=True, interpolated=True)
_DINOV2_SMALL_14 = replace(_DINOV2_BASE_14, width=384, heads=6)
_REGISTERS = 4


class Attention(nn.Layer):
    def __init__(self, form: Form) -> None:
        super().__init__()
        self._heads = form.heads
        self._scale = (form.width // form.heads) ** -0.5 if form.scale is None else form.scale
        self.qkv = nn.Linear(form.width, 3 * form.width, bias_attr=None if form.qkv_bias else False)
        self.proj = nn.Linear(form.width, form.width)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return self.proj(attend(self.qkv(tokens), self._heads, self._scale))


class LayerScale(nn.Layer):
    """Multiply each channel by a learned number.

    Touvron et al., "Going deeper with Image Transformers" (https://arxiv.org/abs/2103.17239).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = self.create_parameter([width], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return tokens * self.gamma


class Block(nn.Layer):
    """Attention and an MLP, each behind a normalisation and added to its input."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(form.width, form.epsilon)
        self.attn = Attention(form)
        self.ls1 = LayerScale(form.width) if form.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(form.width, form.epsilon)
        self.mlp = MLP(form.width, form.mlp * form.width)
        self.ls2 = LayerScale(form.width) if form.layer_scale else nn.Identity()

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class VisionTransformer(nn.Layer):
    """A transformer on patches, with a linear head on its class token."""

    def __init__(self, form: Form, num_classes: int = 1000) -> None:
        super().__init__()
        self._form = form
        normal = TruncatedNormal(std=STANDARD_DEVIATION)
        self.patch_embed = nn.Sequential(("proj", nn.Conv2D(3, form.width, form.patch, form.patch)))
        self.cls_token = self.create_parameter([1, 1, form.width], default_initializer=normal)
        tokens = (form.size // form.patch) ** 2 + 1
        self.pos_embed = self.create_parameter([1, tokens, form.width], default_initializer=normal)
        self.register_tokens = None
        if form.registers:
            shape = [1, form.registers, form.width]
            self.register_tokens = self.create_parameter(shape, default_initializer=normal)
        self.blocks = nn.LayerList([Block(form) for _ in range(form.depth)])
        self.norm = nn.LayerNorm(form.width, form.epsilon)
        self.head = nn.Linear(form.width, num_classes)
        truncated_normal_weights(self, (nn.Linear,))

    def embed(self, images: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, 3, h, w]`` to class token, registers and one token a patch, ``[N, tokens, width]``."""
        patches = self.patch_embed(images)
        _, _, height, breadth = patches.shape
        tokens = patches.flatten(2).transpose([0, 2, 1])
        # An exported network takes any N: it must not be read off here.
        first = paddle.zeros_like(tokens[:, :1]) + self.cls_token
        tokens = paddle.concat([first, tokens], axis=1) + self._positions(height, breadth)
        if self.register_tokens is None:
            return tokens
        registers = paddle.zeros_like(tokens[:, :1]) + self.register_tokens
        return paddle.concat([tokens[:, :1], registers, tokens[:, 1:]], axis=1)

    def _positions(self, height: int, breadth: int) -> paddle.Tensor:
        side = self._form.size // self._form.patch
        if not self._form.interpolated or (height, breadth) == (side, side):
            return self.pos_embed
        if self._form.registers:
            rows, columns = (paddle.to_tensor(smooth_reduction(side, size)) for size in (height, breadth))
            wanted = paddle.matmul(rows, self.pos_embed[:, 1:].reshape([side, -1]))
            wanted = paddle.matmul(columns, wanted.reshape([height, side, -1])).flatten(0, 1)
            return paddle.concat([self.pos_embed[:, :1], wanted.unsqueeze(0)], axis=1)
        learned = self.pos_embed[:, 1:].reshape([1, side, side, -1]).transpose([0, 3, 1, 2])
        wanted = F.interpolate(learned, size=[height, breadth], mode="bicubic", align_corners=False)
        return paddle.concat([self.pos_embed[:, :1], wanted.flatten(2).transpose([0, 2, 1])], axis=1)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        tokens = self.embed(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(class_token(self.norm(tokens)))


def smooth_reduction(side: int, size: int) -> np.ndarray:
    """Return the weights of bicubic interpolation from ``side`` places to ``size``, ``[size, side]``.

    Where it reduces, the kernel is as much wider, as in Pillow and in PyTorch with ``antialias``.
    """
    scale = side / size
    centres = (np.arange(size)[:, None] + 0.5) * scale
    away = np.abs(np.arange(side) + 0.5 - centres) / max(scale, 1)
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def class_token(tokens: paddle.Tensor) -> paddle.Tensor:
    """Return the first token: ``[N, tokens, width]`` → ``[N, width]``."""
    return tokens[:, 0]


def vit_stages(network: VisionTransformer) -> list[Stage]:
    """Split a :class:`VisionTransformer`: stem, four equal parts of its blocks, head."""
    blocks = [*network.blocks]
    size = len(blocks) // _STAGES
    *earlier, last = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    stem, *rest = stages_of(
        [network.embed], *earlier, [*last, network.norm, class_token], head=[network.head]
    )
    own = (network.cls_token, network.pos_embed)
    own += () if network.register_tokens is None else (network.register_tokens,)
    return [replace(stem, layers=(network.patch_embed,), own=own), *rest]


# Hugging Face's names of DINOv2's tensors, in the order in which they are replaced.
_HUGGING_FACE_NAMES = (
    (r"^embeddings\.(cls_token|register_tokens)$", r"\1"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"^(blocks\.\d+)\.attention\.output\.dense\.", r"\1.attn.proj."),
    (r"^(blocks\.\d+)\.attention\.attention\.(query|key|value)\.", r"\1.attn.\2."),
    (r"^(blocks\.\d+)\.layer_scale(\d)\.lambda1$", r"\1.ls\2.gamma"),
)
_UNUSED = ("mask_token", "embeddings.mask_token")


def dinov2_names(tensors: Tensors) -> Tensors:
    """Give DINOv2's tensors the names and layouts of our network.

    Understands Hugging Face's names, which have separate queries, keys and values, and those of the original
    and of timm. PyTorch's linear layers are turned round: they are ``[out, in]``, Paddle's ``[in, out]``.
    The token that hid patches in pretraining is left out. What does not look like DINOv2 stays as it is.
    """
    named = {_own_name(key): value for key, value in tensors.items() if key not in _UNUSED}
    if _has_pytorch_layout(named):
        named = {
            key: np.ascontiguousarray(value.T) if value.ndim == 2 and key.endswith(".weight") else value
            for key, value in named.items()
        }
    return _with_joined_attention(named)


def _own_name(key: str) -> str:
    for pattern, replacement in _HUGGING_FACE_NAMES:
        key = re.sub(pattern, replacement, key)
    return key


def _has_pytorch_layout(tensors: Tensors) -> bool:
    """Whether linear layers are ``[out, in]``: square ones do not tell, so the MLP's first one must."""
    weight, bias = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc1.bias")
    if weight is None or bias is None or weight.ndim != 2:
        return False
    return weight.shape[0] == bias.size and weight.shape[1] != bias.size


def _with_joined_attention(tensors: Tensors) -> Tensors:
    """Join ``attn.query``, ``attn.key`` and ``attn.value`` to ``attn.qkv`` where all three have one shape."""
    joined = dict(tensors)
    for key in filter(re.compile(r"blocks\.\d+\.attn\.query\.(weight|bias)").fullmatch, tensors):
        names = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        parts = [tensors[name] for name in names if name in tensors]
        if len(parts) == 3 and len({part.shape for part in parts}) == 1 and parts[0].ndim:
            joined[key.replace(".query.", ".qkv.")] = np.concatenate(parts, axis=-1)
            for name in names:
                del joined[name]
    return joined


def _backbone(class_name: str, form: Form, parameters: int, top1: float, top5: float) -> Backbone:
    return Backbone(
        name=f"{class_name.lower()}_imagenet",
        build=partial(VisionTransformer, form),
        stages=vit_stages,
        taps=("stage3", "stage4.-2"),
        width=form.width,
        parameters=parameters,
        input_size=form.size,
        resize=256 if form.size == 224 else form.size,
        weights=paddleclas(class_name, top1, top5),
        aliases=(class_name,),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        size_multiple=None,
    )


def _dinov2(name: str, published: str, form: Form, parameters: int) -> Backbone:
    """Return the record of a network; ``published`` is its name at Hugging Face."""
    return Backbone(
        name=name,
        build=partial(VisionTransformer, form),
        stages=vit_stages,
        taps=("stage3", "stage4.-2"),
        width=form.width,
        parameters=parameters,
        weights=PublishedWeights(f"https://huggingface.co/{published}/resolve/main/model.safetensors"),
        aliases=(published,),
        interpolation="bicubic",
        size_multiple=form.patch,
        translate=dinov2_names,
    )


BACKBONES = (
    # As on PaddleClas's page of the family; its list of all models has 75.53 and 92.11 for the small one, and
    # 81.87 and 96.18 for the next. The figures of the others are from that list.
    _backbone("ViT_small_patch16_224", _SMALL_16, 48_754_408, 77.69, 93.42),
    _backbone("ViT_base_patch16_224", _BASE_16, 86_567_656, 81.95, 96.17),
    _backbone("ViT_base_patch16_384", replace(_BASE_16, size=384), 86_859_496, 84.14, 97.17),
    _backbone("ViT_base_patch32_384", replace(_BASE_16, size=384, patch=32), 88_297_192, 81.76, 96.13),
    _backbone("ViT_large_patch16_224", _LARGE_16, 304_326_632, 83.03, 96.55),
    _backbone("ViT_large_patch16_384", replace(_LARGE_16, size=384), 304_715_752, 85.13, 97.36),
    _backbone("ViT_large_patch32_384", replace(_LARGE_16, size=384, patch=32), 306_632_680, 81.53, 96.08),
    _dinov2("dinov2_vits14", "facebook/dinov2-small", _DINOV2_SMALL_14, 22_441_192),
    _dinov2("dinov2_vitb14", "facebook/dinov2-base", _DINOV2_BASE_14, 87_348_712),
    _dinov2(
        "dinov2_vits14_reg",
        "facebook/dinov2-with-registers-small",
        replace(_DINOV2_SMALL_14, registers=_REGISTERS),
        22_442_728,
    ),
    _dinov2(
        "dinov2_vitb14_reg",
        "facebook/dinov2-with-registers-base",
        replace(_DINOV2_BASE_14, registers=_REGISTERS),
        87_351_784,
    ),
)
