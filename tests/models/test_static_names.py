"""Names of variables in Paddle 1: those of PaddleClas, of PaddleX's programs, and of VGG's source."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from models.deterministic import digest, image, weights
from support.backbones import TOLERANCE, slow
from support.environments import python_with, unpacked_wheel

from hubtune import Module
from hubtune.models.catalog import BACKBONES, find

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / "tools"
RECORDED = json.loads((HERE / "static_names.json").read_text("utf-8"))
PADDLECLAS, PADDLEX = RECORDED["paddleclas 2.6.0"], RECORDED["paddlex 1.3.11"]
# One of each rule; to answer, networks with names of their own.
QUICK_NAMES = [
    "AlexNet GoogLeNet InceptionV4 Xception71 ResNet50_vc ResNeXt101_32x4d ResNeXt152_vd_64x4d",
    "SE_ResNet34_vd SE_ResNeXt101_32x4d SENet154_vd MobileNetV2_x0_25 ShuffleNetV2_x0_25",
]
QUICK_NAMES = " ".join(QUICK_NAMES).split()
QUICK_ANSWERS = ["ResNet18", "ResNet18_vd", "MobileNetV1_x0_25", "MobileNetV3_small_x0_5"]


def others(names, quick):
    return slow(*(name for name in names if name not in quick))


def shapes_of(name):
    """Key → shape of a network's state dict, without values."""
    with paddle.LazyGuard():
        network = find(name).backbone.build(num_classes=1000)
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def names_of(name):
    return {key: find(name).backbone.static_names.variable(key) for key in shapes_of(name)}


@pytest.mark.parametrize("name", [*QUICK_NAMES, *others(PADDLECLAS, QUICK_NAMES)])
def test_variables_are_called_as_paddleclas_calls_its_parameters(name):
    names = names_of(name)
    assert len(names) == PADDLECLAS[name]["variables"] == len(set(names.values()))
    assert digest(names) == PADDLECLAS[name]["sha256"]


@pytest.mark.parametrize("name", [*QUICK_ANSWERS, *others(PADDLEX, QUICK_ANSWERS)])
@paddle.no_grad()
def test_variables_have_the_names_and_shapes_of_the_program_and_give_its_scores(name):
    backbone = find(name).backbone
    network = backbone.build(num_classes=1000)
    network.eval()
    keys = {backbone.static_names.variable(key): key for key in network.state_dict()}
    shapes = {name: list(network.state_dict()[key].shape) for name, key in keys.items()}
    assert digest(shapes) == PADDLEX[name]["sha256"]
    network.set_state_dict({keys[name]: value for name, value in weights(shapes).items()})
    scores = network(paddle.to_tensor(image(224, 224))).numpy()[0]
    largest = PADDLEX[name]["largest"]
    assert np.abs(scores[:12] - PADDLEX[name]["first"]).max() <= TOLERANCE * largest
    assert np.abs(scores).max() == pytest.approx(largest, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("VGG11", (1, 1, 2, 2, 2)),
        ("VGG13", (2, 2, 2, 2, 2)),
        ("VGG16", (2, 2, 3, 3, 3)),
        ("VGG19", (2, 2, 4, 4, 4)),
    ],
)
def test_variables_of_a_vgg_are_called_as_in_its_source(name, depths):
    # PaddlePaddle/models, PaddleCV/image_classification/models/vgg.py
    layers = [f"conv{block}_{number + 1}" for block, depth in enumerate(depths, 1) for number in range(depth)]
    expected = {f"conv_block_{layer[4]}.conv{layer[6]}.weight": f"{layer}_weights" for layer in layers}
    for number in (1, 2, 3):
        expected |= {
            f"fc{number}.weight": f"fc{number + 5}_weights",
            f"fc{number}.bias": f"fc{number + 5}_offset",
        }
    assert names_of(name) == expected


def test_every_network_that_paddlepaddle_published_for_paddle_1_has_names():
    recorded = {find(name).backbone.name for name in (*PADDLECLAS, *PADDLEX)}
    # PaddleX has a channel more in one layer of the one, and no program of VGGs.
    recorded |= {f"mobilenet_v3_{size}_x0_35_imagenet" for size in ("small", "large")}
    recorded |= {f"vgg{layers}_imagenet" for layers in (11, 13, 16, 19)}
    assert {backbone.name for backbone in BACKBONES.values() if backbone.static_names} == recorded


@pytest.mark.slow
def test_paddleclas_names_its_parameters_so_today(tmp_path):
    python = python_with("HUBTUNE_PADDLECLAS_PYTHON", "paddleclas==2.6.0", "paddlepaddle==3.3.1")
    file = tmp_path / "names.json"
    subprocess.run([python, TOOLS / "static_names_of_paddleclas.py", file], check=True, capture_output=True)
    found = json.loads(file.read_text("utf-8"))
    assert found.keys() == PADDLECLAS.keys()
    for name, names in found.items():
        assert names_of(name) == names


@pytest.mark.slow
@pytest.mark.parametrize("name", PADDLEX)
@paddle.no_grad()
def test_what_a_program_of_paddle_1_saves_is_read_and_gives_its_scores(name, tmp_path):
    package = unpacked_wheel("HUBTUNE_PADDLEX_1", "paddlex==1.3.11")
    command = [sys.executable, TOOLS / "static_programs_of_paddlex.py", package, tmp_path, name]
    environment = {**os.environ, "FLAGS_enable_pir_api": "0", "PYTHONPATH": str(HERE)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    expected = np.load(tmp_path / "scores.npz")[f"{name} scores"]
    module = Module(name, tmp_path / f"{name}_pretrained")
    scores = module.network(paddle.to_tensor(image(224, 224))).numpy()[0]
    assert np.abs(scores - expected).max() <= TOLERANCE * np.abs(expected).max()
