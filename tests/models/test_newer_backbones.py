"""The newer backbones answer as independent implementations of the same architectures do.

``golden/*.json`` hold what real PaddleClas and Hugging Face's transformers answered, for a check in seconds.
The slow tests ask them anew, for every width and at other sizes, with the interpreters that
``HUBTUNE_PADDLECLAS_PYTHON`` and ``HUBTUNE_TRANSFORMERS_PYTHON`` name. Without the variables, an environment
of its own is made for each (paddleclas with Paddle; transformers with torch: some gigabytes), once, in the
user's cache folder; where pip cannot install one, its tests are skipped.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import paddle
import pytest
from models.deterministic import image, weights
from paddle import nn
from support.environments import python_with

from hubtune import Module
from hubtune.errors import ModelError
from hubtune.hub.weights import load_into
from hubtune.models.backbone import Backbone, features, head_keys
from hubtune.models.catalog import find
from hubtune.models.transformer import DropPath
from hubtune.models.vit import Form, VisionTransformer, dinov2_names, vit_stages

HERE = Path(__file__).parent
SWIN = "SwinTransformer_tiny_patch4_window7_224"
DINOV2 = "dinov2_vits14"
ON_RECORD = (
    "MobileNetV3_small_x1_0",
    pytest.param("MobileNetV3_large_x1_0", marks=pytest.mark.slow),
    "PPLCNet_x1_0",
    "PPHGNetV2_B0",
    pytest.param("PPHGNetV2_B4", marks=pytest.mark.slow),
    pytest.param("ConvNeXt_tiny", marks=pytest.mark.slow),
    pytest.param(SWIN, marks=pytest.mark.slow),
    pytest.param("ViT_small_patch16_224", marks=pytest.mark.slow),
    pytest.param("ViT_base_patch16_224", marks=pytest.mark.slow),
    DINOV2,
)
# Of the largest magnitude; what was measured is about 1e-6.
TOLERANCE = 1e-5


def answer(python: Path, script: str, target: Path) -> None:
    command = [python, str(HERE / script), str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def of_paddleclas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    python = python_with("HUBTUNE_PADDLECLAS_PYTHON", "paddleclas==2.6.0", "paddlepaddle==3.3.1")
    target = tmp_path_factory.mktemp("paddleclas") / "answers.npz"
    answer(python, "answers_of_paddleclas.py", target)
    return dict(np.load(target))


@pytest.fixture(scope="module")
def of_transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = python_with("HUBTUNE_TRANSFORMERS_PYTHON", "transformers==5.23.0", "torch", "safetensors")
    target = tmp_path_factory.mktemp("transformers")
    answer(python, "answers_of_transformers.py", target)
    return target


def described(network: nn.Layer) -> dict[str, list]:
    """Key → type and shape."""
    return {
        key: [str(value.dtype).removeprefix("paddle."), *value.shape]
        for key, value in network.state_dict().items()
    }


def made(record: Backbone, keys: Mapping[str, list]) -> nn.Layer:
    """The network with the weights that belong to the answers."""
    network = record.build(num_classes=1000)
    network.eval()
    shapes = {key: shape for key, (kind, *shape) in keys.items() if kind == "float32"}
    state = network.state_dict()
    for key, value in weights(shapes).items():
        state[key].set_value(value)
    return network


@paddle.no_grad()
def scores(record: Backbone, network: nn.Layer, size: str) -> np.ndarray:
    """What the answers are of: class scores, or the pooled features where the original has no head."""
    height, width = map(int, size.split("x"))
    images = paddle.to_tensor(image(height, width))
    if record.name == DINOV2:
        return features(record.stages(network), images).numpy()[0]
    return network(images).numpy()[0]


def on_record(name: str) -> dict:
    return json.loads((HERE / "golden" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ON_RECORD)
def test_keys_and_answers_equal_those_on_record(name: str) -> None:
    golden = on_record(name)
    record = find(name).backbone
    network = made(record, golden["keys"])
    own = described(network)
    if record.name == DINOV2:
        own = {key: what for key, what in own.items() if not key.startswith("head.")}
    assert own == golden["keys"]
    assert golden["answers"]
    for size, expected in golden["answers"].items():
        found = scores(record, network, size)[: len(expected["first"])]
        np.testing.assert_allclose(found, expected["first"], rtol=0, atol=TOLERANCE * expected["largest"])


@pytest.mark.parametrize("name", ["MobileNetV3_small_x1_0", "PPLCNet_x1_0", "PPHGNetV2_B0", SWIN])
@paddle.no_grad()
def test_answers_on_record_depend_on_the_picture(name: str) -> None:
    record = find(name).backbone
    network = made(record, on_record(name)["keys"])
    images = image(96, 96)
    upright, turned = network(paddle.to_tensor(np.concatenate([images, images[:, :, ::-1]]))).numpy()
    assert np.abs(upright - turned).max() > 1000 * TOLERANCE * np.abs(upright).max()


@pytest.mark.slow
def test_every_network_of_paddleclas_is_equalled(of_paddleclas: dict[str, np.ndarray]) -> None:
    names = [key.removesuffix(" keys") for key in of_paddleclas if key.endswith(" keys")]
    assert len(names) == 29
    for name in names:
        record = find(name).backbone
        keys = json.loads(str(of_paddleclas[f"{name} keys"]))
        network = made(record, keys)
        assert described(network) == keys, name
        assert record.weights.url == of_paddleclas[f"{name} url"]
        state = network.state_dict()
        sizes = 0
        for entry, expected in of_paddleclas.items():
            owner, _, what = entry.partition(" ")
            if owner != name or what in ("keys", "url", "source"):
                continue
            if what.startswith("buffer "):
                np.testing.assert_array_equal(state[what.removeprefix("buffer ")].numpy(), expected)
                continue
            difference = np.abs(scores(record, network, what) - expected).max()
            assert difference <= TOLERANCE * np.abs(expected).max(), entry
            sizes += 1
        assert sizes >= 1


@pytest.mark.slow
def test_published_names_of_dinov2_give_the_class_token_of_transformers(of_transformers: Path) -> None:
    module = Module(DINOV2, weights=of_transformers / "dinov2" / "model.safetensors")
    expected = {
        entry.partition(" ")[2]: value
        for entry, value in np.load(of_transformers / "answers.npz").items()
        if entry.startswith(f"{DINOV2} ") and not entry.endswith((" keys", " source"))
    }
    assert set(expected) == {"224x224", "518x518", "154x224", "70x70"}
    for size, token in expected.items():
        difference = np.abs(scores(module.backbone, module.network, size) - token).max()
        assert difference <= TOLERANCE * np.abs(token).max(), size


@pytest.mark.slow
def test_swin_equals_that_of_transformers(of_transformers: Path) -> None:
    record = find(SWIN).backbone
    network = made(record, described(record.build(num_classes=1000)))
    expected = np.load(of_transformers / "answers.npz")[f"{SWIN} 224x224"]
    difference = np.abs(scores(record, network, "224x224") - expected).max()
    assert difference <= TOLERANCE * np.abs(expected).max()


# A DINOv2 in small: every kind of tensor, square linear layers and others.
TINY = Form(
    patch=2, size=6, width=4, depth=4, heads=2, mlp=3, epsilon=1e-6, layer_scale=True, interpolated=True
)


@pytest.fixture
def tiny() -> VisionTransformer:
    network = VisionTransformer(TINY, num_classes=3)
    for key, value in weights({key: value.shape for key, value in network.state_dict().items()}).items():
        network.state_dict()[key].set_value(value)
    return network


def trunk(network: VisionTransformer) -> dict[str, np.ndarray]:
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    return {key: value for key, value in state.items() if not key.startswith("head.")}


def turned(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with PyTorch's layout of linear layers."""
    return {key: value.T if value.ndim == 2 else value for key, value in tensors.items()}


def hugging_face(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with the names in Hugging Face's file, written out for one block after the other."""
    outside = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    file = {name: tensors[key] for key, name in outside.items()}
    file["embeddings.mask_token"] = np.zeros((1, 4), np.float32)
    for number in range(TINY.depth):
        own, theirs = f"blocks.{number}", f"encoder.layer.{number}"
        for kind in ("weight", "bias"):
            parts = np.split(tensors[f"{own}.attn.qkv.{kind}"], 3)
            for part, value in zip(("query", "key", "value"), parts, strict=True):
                file[f"{theirs}.attention.attention.{part}.{kind}"] = value
            file[f"{theirs}.attention.output.dense.{kind}"] = tensors[f"{own}.attn.proj.{kind}"]
            for layer in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                file[f"{theirs}.{layer}.{kind}"] = tensors[f"{own}.{layer}.{kind}"]
        for scale in (1, 2):
            file[f"{theirs}.layer_scale{scale}.lambda1"] = tensors[f"{own}.ls{scale}.gamma"]
    return file


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_names_of_hugging_face_become_ours(tiny: VisionTransformer) -> None:
    assert_same(dinov2_names(hugging_face(turned(trunk(tiny)))), trunk(tiny))


def test_names_of_timm_and_the_original_become_ours(tiny: VisionTransformer) -> None:
    file = turned(trunk(tiny)) | {"mask_token": np.zeros((1, 4), np.float32)}
    assert_same(dinov2_names(file), trunk(tiny))


def test_our_own_names_and_layouts_stay(tiny: VisionTransformer) -> None:
    own = {key: value.numpy() for key, value in tiny.state_dict().items()}
    assert_same(dinov2_names(own), own)


def test_translated_file_fits_and_its_missing_head_is_left_alone(tiny: VisionTransformer) -> None:
    other = VisionTransformer(TINY, num_classes=3)
    head = other.head.weight.numpy()
    tensors = dinov2_names(hugging_face(turned(trunk(tiny))))
    assert not load_into(other, tensors, head=head_keys(other, vit_stages(other)), source="file")
    assert_same(trunk(other), trunk(tiny))
    np.testing.assert_array_equal(other.head.weight.numpy(), head)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file.pop("encoder.layer.2.attention.attention.key.weight"),
            "missing: 'blocks.2.attn.qkv.weight' with the shape [4, 12]",
        ),
        (
            lambda file: file.update({"encoder.layer.1.attention.attention.value.bias": np.zeros(5, "f4")}),
            "missing: 'blocks.1.attn.qkv.bias' with the shape [12]",
        ),
        (
            lambda file: file.pop("encoder.layer.0.mlp.fc1.weight"),
            "missing: 'blocks.0.mlp.fc1.weight' with the shape [4, 12]",
        ),
        (
            lambda file: file.update({"encoder.layer.0.mlp.fc1.weight": np.zeros((), "f4")}),
            "shape: 'blocks.0.mlp.fc1.weight' is [] in the file and [4, 12] in the network",
        ),
        (
            lambda file: file.update({"conv1.weight": np.zeros((8, 3, 7, 7), "f4")}),
            "unexpected: 'conv1.weight' with the shape [8, 3, 7, 7]",
        ),
    ],
)
def test_wrong_file_is_left_to_be_refused(change, message: str, tiny: VisionTransformer) -> None:
    file = hugging_face(turned(trunk(tiny)))
    change(file)
    with pytest.raises(ModelError) as refusal:
        load_into(tiny, dinov2_names(file), head=head_keys(tiny, vit_stages(tiny)), source="file")
    assert message in str(refusal.value)


def test_file_of_another_network_stays_as_it_is() -> None:
    file = {"conv1.weight": np.ones((8, 3, 7, 7), "f4"), "fc.weight": np.ones((10, 8), "f4")}
    assert_same(dinov2_names(file), file)


def test_positions_are_learned_at_other_sizes_too(tiny: VisionTransformer) -> None:
    tiny(paddle.ones([2, 3, 10, 4])).sum().backward()
    assert np.abs(tiny.pos_embed.grad.numpy()).min() > 0


def test_masks_in_older_files_of_swin_are_left_out() -> None:
    kept = {"layers.0.blocks.1.attn.qkv.bias": np.ones(3, "f4")}
    file = kept | {"layers.0.blocks.1.attn_mask": np.zeros((64, 49, 49), "f4")}
    assert_same(find(SWIN).backbone.translate(file), kept)


def test_drop_path_leaves_out_whole_samples_and_only_in_training() -> None:
    paddle.seed(0)
    layer = DropPath(0.25)
    branch = paddle.ones([4000, 2, 3])
    kept = layer(branch).numpy().reshape(4000, 6)
    assert (kept == kept[:, :1]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert kept.mean() == pytest.approx(1, abs=0.05)
    layer.eval()
    np.testing.assert_array_equal(layer(branch).numpy(), branch.numpy())


@pytest.mark.parametrize("name", ["ConvNeXt_tiny", SWIN])
def test_stochastic_depth_grows_from_the_first_block_to_the_last(name: str) -> None:
    network = find(name).backbone.build(num_classes=2)
    rates = [layer._rate for layer in network.sublayers() if isinstance(layer, DropPath)]
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[-1] == {"ConvNeXt_tiny": 0.1, SWIN: 0.2}[name]


def test_file_of_the_distillations_first_stage_is_a_variant() -> None:
    found = find("PPHGNetV2_B0_ssld_stage1")
    assert found.backbone is find("pphgnetv2_b0_imagenet").backbone
    assert found.weights.url.endswith("/legendary_models/PPHGNetV2_B0_ssld_stage1_pretrained.pdparams")
    assert found.weights.top1 is None
