"""What Hugging Face's networks answer: ``PYTHON answers_of_transformers.py FOLDER``.

The interpreter has torch, transformers and safetensors. transformers itself reads the weights, with the names
of the published files, and leaves none over. ``FOLDER/dinov2_vits14/model.safetensors`` is such a file, and
``FOLDER/answers.npz`` has each DINOv2's normalised class token for each size (``dinov2_vits14 224x224``), its
keys (JSON), the version that answered (``dinov2_vits14 source``), and Swin's scores (``CLASS 224x224``).
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
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SwinConfig,
    SwinForImageClassification,
)

DINOV2_SIZES = ((224, 224), (518, 518), (154, 224), (70, 70))
SWIN = "SwinTransformer_tiny_patch4_window7_224"


def keys_of(name):
    """Types and shapes of a state dict with the original names; transformers refuses a wrong one."""
    golden = Path(__file__).parents[1] / "tests" / "models" / "golden" / f"{name}.json"
    return json.loads(golden.read_text("utf-8"))["keys"]


def twice_as_wide(keys):
    """The keys of DINOv2's base networks, from those of the small ones."""
    widths = {384: 768, 1152: 2304, 1536: 3072}
    return {key: [kind, *(widths.get(side, side) for side in shape)] for key, (kind, *shape) in keys.items()}


DINOV2_NAMES = (
    (r"^(cls_token|register_tokens)$", r"embeddings.\1"),
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


def published(keys, names):
    """The weights for these keys, with PyTorch's layouts and the names of Hugging Face's files."""
    found = {}
    shapes = {key: shape for key, (kind, *shape) in keys.items() if kind == "float32"}
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


def read_by(kind, config, tensors, folder):
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
def answers_of_dinov2(name, keys, folder):
    registers = name.endswith("_reg")
    width = keys["cls_token"][-1]
    kind, config = (
        (Dinov2WithRegistersModel, Dinov2WithRegistersConfig) if registers else (Dinov2Model, Dinov2Config)
    )
    tensors = published(keys, DINOV2_NAMES)
    tensors["embeddings.mask_token"] = np.ones((1, width), np.float32)
    options = {"hidden_size": width, "num_attention_heads": width // 64, "image_size": 518, "patch_size": 14}
    network = read_by(kind, config(**options), tensors, folder / name)
    found = {f"{name} keys": np.array(json.dumps(keys))}
    found[f"{name} source"] = np.array(f"transformers {version('transformers')}")
    for height, width in DINOV2_SIZES:
        tokens = network(torch.from_numpy(image(height, width))).last_hidden_state
        found[f"{name} {height}x{width}"] = tokens[0, 0].numpy()
    return found


@torch.no_grad()
def main(folder):
    found = {}
    for end in ("", "_reg"):
        keys = keys_of(f"dinov2_vits14{end}")
        found |= answers_of_dinov2(f"dinov2_vits14{end}", keys, folder)
        found |= answers_of_dinov2(f"dinov2_vitb14{end}", twice_as_wide(keys), folder)

    tensors = published(keys_of(SWIN), SWIN_NAMES)
    network = read_by(SwinForImageClassification, SwinConfig(num_labels=1000), tensors, folder / "swin")
    found[f"{SWIN} 224x224"] = network(torch.from_numpy(image(224, 224))).logits[0].numpy()
    np.savez(folder / "answers.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
