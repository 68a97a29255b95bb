"""Vision transformers, with the names of Hugging Face's, timm's and the original DINOv2 files."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from models.deterministic import weights
from PIL import Image
from support.backbones import arrays_of

from hubtune.errors import ModelError
from hubtune.hub.weights import load_into
from hubtune.models.backbone import head_keys
from hubtune.models.vit import Form, VisionTransformer, dinov2_names, smooth_reduction, vit_stages

HUGGING_FACE_NAMES = {
    "cls_token": "embeddings.cls_token",
    "register_tokens": "embeddings.register_tokens",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm.": "layernorm.",
    "blocks.": "encoder.layer.",
    "attn.proj": "attention.output.dense",
    "attn.qkv": "attention.attention.qkv",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}
ATTENTION, FC1 = "encoder.layer.2.attention.attention.", "encoder.layer.0.mlp.fc1.weight"
# A DINOv2 in small: every kind of tensor, square linear layers and others.
TINY = Form(
    patch=2, size=6, width=4, depth=4, heads=2, mlp=3, epsilon=1e-6, layer_scale=True, interpolated=True
)


@pytest.fixture(params=[0, 4])
def tiny(request):
    network = VisionTransformer(replace(TINY, registers=request.param), num_classes=3)
    for key, value in weights({key: value.shape for key, value in network.state_dict().items()}).items():
        network.state_dict()[key].set_value(value)
    return network


def another(network):
    registers = 0 if network.register_tokens is None else network.register_tokens.shape[1]
    return VisionTransformer(replace(TINY, registers=registers), num_classes=3)


def trunk(network):
    return {key: value for key, value in arrays_of(network).items() if not key.startswith("head.")}


def turned(tensors):
    """The same with PyTorch's layout of linear layers."""
    return {key: value.T if value.ndim == 2 else value for key, value in tensors.items()}


def hugging_face(tensors):
    """The same with the names in Hugging Face's file."""
    file = {"embeddings.mask_token": np.zeros((1, 4), np.float32)}
    for name, value in tensors.items():
        for own, theirs in HUGGING_FACE_NAMES.items():
            name = name.replace(own, theirs)
        parts = np.split(value, 3) if "qkv" in name else [value]
        for part, array in zip(("query", "key", "value"), parts, strict=False):
            file[name.replace("qkv", part)] = array
    return file


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_names_of_timm_and_the_original_become_ours_and_others_stay(tiny):
    file = turned(trunk(tiny)) | {"mask_token": np.zeros((1, 4), np.float32)}
    assert_same(dinov2_names(file), trunk(tiny))
    foreign = {"conv1.weight": np.ones((8, 3, 7, 7), "f4"), "fc.weight": np.ones((10, 8), "f4")}
    for unchanged in (arrays_of(tiny), foreign):
        assert_same(dinov2_names(unchanged), unchanged)


def test_a_file_with_hugging_faces_names_fits_and_its_missing_head_is_left_alone(tiny):
    other = another(tiny)
    head = other.head.weight.numpy()
    tensors = dinov2_names(hugging_face(turned(trunk(tiny))))
    assert_same(tensors, trunk(tiny))
    assert not load_into(other, tensors, head=head_keys(other, vit_stages(other)), source="file")
    assert_same(trunk(other), trunk(tiny))
    np.testing.assert_array_equal(other.head.weight.numpy(), head)


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        (f"{ATTENTION}key.weight", None, "missing: 'blocks.2.attn.qkv.weight' with the shape [4, 12]"),
        (f"{ATTENTION}value.bias", 5, "missing: 'blocks.2.attn.qkv.bias' with the shape [12]"),
        (FC1, (), "shape: 'blocks.0.mlp.fc1.weight' is [] in the file and [4, 12] in the network"),
        ("conv1.weight", (8, 3, 7, 7), "unexpected: 'conv1.weight' with the shape [8, 3, 7, 7]"),
    ],
)
def test_a_file_with_wrong_tensors_is_refused(key, shape, message, tiny):
    file = hugging_face(turned(trunk(tiny)))
    file.pop(key, None)
    if shape is not None:
        file[key] = np.zeros(shape, "f4")
    with pytest.raises(ModelError) as refusal:
        load_into(tiny, dinov2_names(file), head=head_keys(tiny, vit_stages(tiny)), source="file")
    assert message in str(refusal.value)


def test_positions_are_learned_at_other_sizes_too(tiny):
    tiny(paddle.ones([2, 3, 10, 4])).sum().backward()
    assert np.abs(tiny.pos_embed.grad.numpy()).min() > 0


@pytest.mark.parametrize("size", [3, 16, 50])
def test_positions_are_reduced_as_pillow_reduces_a_row_of_pixels(size):
    row = np.random.default_rng(0).standard_normal(37).astype(np.float32)
    expected = Image.fromarray(row[None]).resize((size, 1), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(smooth_reduction(37, size) @ row, np.asarray(expected)[0], atol=1e-6)


@paddle.no_grad()
def test_registers_have_no_position_and_the_class_token_stays_first():
    network = VisionTransformer(replace(TINY, registers=2), num_classes=3)
    tokens = network.embed(images := paddle.rand([2, 3, 6, 6])).numpy()
    assert tokens.shape == (2, 1 + 2 + 9, 4)
    np.testing.assert_array_equal(tokens[0, 1:3], network.register_tokens.numpy()[0])
    first = network.cls_token + network.pos_embed[:, :1]
    np.testing.assert_array_equal(tokens[1, :1], first.numpy()[0])
    assert network(images).shape == [2, 3]
