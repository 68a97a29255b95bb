"""What Hugging Face's networks answer: ``PYTHON answers_of_transformers.py FOLDER``.

The interpreter has torch, transformers and safetensors. Weights with the names of the published files are
written and read by transformers itself, and no name may be left over. ``FOLDER/dinov2/model.safetensors`` is
such a file. ``FOLDER/answers.npz`` holds DINOv2's normalised class token for each size
(``dinov2_vits14 224x224``), the keys, types and shapes of its state dict with the original names
(``dinov2_vits14 keys``, JSON), the version that answered (``dinov2_vits14 source``), and Swin's scores
(``CLASS 224x224``).
"""

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from deterministic import image, weights
from safetensors.numpy import save_file
from transformers import Dinov2Config, Dinov2Model, SwinConfig, SwinForImageClassification

DINOV2_SIZES = ((224, 224), (518, 518), (154, 224), (70, 70))
SWIN = "SwinTransformer_tiny_patch4_window7_224"


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, list[int]]:
    return {f"{name}.weight": [inputs, outputs], **({f"{name}.bias": [outputs]} if bias else {})}


def norm(name: str, width: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def block(name: str, width: int) -> dict[str, list[int]]:
    return {
        **norm(f"{name}.norm1", width),
        **linear(f"{name}.attn.qkv", width, 3 * width),
        **linear(f"{name}.attn.proj", width, width),
        **norm(f"{name}.norm2", width),
        **linear(f"{name}.mlp.fc1", width, 4 * width),
        **linear(f"{name}.mlp.fc2", 4 * width, width),
    }


def dinov2_shapes() -> dict[str, list[int]]:
    shapes = {
        "cls_token": [1, 1, 384],
        "pos_embed": [1, 37 * 37 + 1, 384],
        "patch_embed.proj.weight": [384, 3, 14, 14],
        "patch_embed.proj.bias": [384],
        **norm("norm", 384),
    }
    for number in range(12):
        name = f"blocks.{number}"
        shapes |= block(name, 384) | {f"{name}.ls1.gamma": [384], f"{name}.ls2.gamma": [384]}
    return shapes


def swin_shapes() -> dict[str, list[int]]:
    shapes = {
        "patch_embed.proj.weight": [96, 3, 4, 4],
        "patch_embed.proj.bias": [96],
        **norm("patch_embed.norm", 96),
        **norm("norm", 768),
        **linear("head", 768, 1000),
    }
    for stage, (width, depth, heads) in enumerate([(96, 2, 3), (192, 2, 6), (384, 6, 12), (768, 2, 24)]):
        for number in range(depth):
            name = f"layers.{stage}.blocks.{number}"
            shapes |= block(name, width) | {f"{name}.attn.relative_position_bias_table": [169, heads]}
        if stage < 3:
            name = f"layers.{stage}.downsample"
            shapes |= linear(f"{name}.reduction", 4 * width, 2 * width, bias=False) | norm(
                f"{name}.norm", 4 * width
            )
    return shapes


DINOV2_NAMES = (
    (r"^(cls_token)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"attn\.proj", "attention.output.dense"),
    (r"attn\.(query|key|value)", r"attention.attention.\1"),
    (r"ls(\d)\.gamma", r"layer_scale\1.lambda1"),
)
SWIN_NAMES = (
    (r"^head\.", "classifier."),
    (r"^norm\.", "swin.layernorm."),
    (r"^patch_embed\.proj", "swin.embeddings.patch_embeddings.projection"),
    (r"^patch_embed\.norm", "swin.embeddings.norm"),
    (r"^layers\.", "swin.encoder.layers."),
    (r"norm1", "layernorm_before"),
    (r"norm2", "layernorm_after"),
    (r"attn\.proj", "attention.output.dense"),
    (r"attn\.", "attention.self."),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
)


def published(shapes: dict[str, list[int]], names: tuple[tuple[str, str], ...]) -> dict[str, np.ndarray]:
    """The weights for these keys, with PyTorch's layouts and the names of Hugging Face's files."""
    found = {}
    for key, value in weights(shapes).items():
        parts = {key: value}
        if ".qkv." in key:
            split = np.split(value, 3, axis=-1)
            parts = {
                key.replace("qkv", part): third
                for part, third in zip(("query", "key", "value"), split, strict=True)
            }
        for part, array in parts.items():
            for pattern, replacement in names:
                part = re.sub(pattern, replacement, part)
            turned = array.T if array.ndim == 2 and part.endswith(".weight") else array
            found[part] = np.ascontiguousarray(turned)
    return found


def read_by(kind: type, config: object, tensors: dict[str, np.ndarray], folder: Path) -> torch.nn.Module:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    network, report = kind.from_pretrained(folder, output_loading_info=True)
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    left_over = {name: sorted(map(str, report[name])) for name in kinds}
    if any(left_over.values()):
        raise SystemExit(f"transformers does not read the weights: {json.dumps(left_over)}")
    return network.eval()


@torch.no_grad()
def main(folder: Path) -> None:
    found = {"dinov2_vits14 source": np.array(f"transformers {version('transformers')}")}
    config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    tensors = published(dinov2_shapes(), DINOV2_NAMES)
    tensors["embeddings.mask_token"] = np.ones((1, 384), np.float32)
    network = read_by(Dinov2Model, config, tensors, folder / "dinov2")
    keys = {key: ["float32", *shape] for key, shape in dinov2_shapes().items()}
    found["dinov2_vits14 keys"] = np.array(json.dumps(keys))
    for height, width in DINOV2_SIZES:
        tokens = network(torch.from_numpy(image(height, width))).last_hidden_state
        found[f"dinov2_vits14 {height}x{width}"] = tokens[0, 0].numpy()

    tensors = published(swin_shapes(), SWIN_NAMES)
    network = read_by(SwinForImageClassification, SwinConfig(num_labels=1000), tensors, folder / "swin")
    found[f"{SWIN} 224x224"] = network(torch.from_numpy(image(224, 224))).logits[0].numpy()
    np.savez(folder / "answers.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
