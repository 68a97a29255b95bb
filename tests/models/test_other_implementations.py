"""The newer backbones answer as the implementations of PaddleClas and of Hugging Face's transformers do."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.backbones import DINOV2, assert_close, golden_network, golden_scores, typed_shapes
from support.environments import python_with

from hubtune import Module
from hubtune.models.catalog import find

SWIN = "SwinTransformer_tiny_patch4_window7_224"


def answer(python, script, target):
    here = Path(__file__).parent
    command = [python, str(here.parents[1] / "tools" / script), str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(here)}  # for `deterministic`
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def of_paddleclas(tmp_path_factory):
    python = python_with("HUBTUNE_PADDLECLAS_PYTHON", "paddleclas==2.6.0", "paddlepaddle==3.3.1")
    target = tmp_path_factory.mktemp("paddleclas") / "answers.npz"
    answer(python, "answers_of_paddleclas.py", target)
    return dict(np.load(target))


@pytest.fixture(scope="module")
def of_transformers(tmp_path_factory):
    python = python_with("HUBTUNE_TRANSFORMERS_PYTHON", "transformers==5.23.0", "torch", "safetensors")
    target = tmp_path_factory.mktemp("transformers")
    answer(python, "answers_of_transformers.py", target)
    return target


@pytest.mark.slow
def test_every_network_of_paddleclas_is_equalled(of_paddleclas):
    names = [key.removesuffix(" keys") for key in of_paddleclas if key.endswith(" keys")]
    assert len(names) == 29
    for name in names:
        assert f"{name} 224x224" in of_paddleclas
        record = find(name).backbone
        keys = json.loads(str(of_paddleclas[f"{name} keys"]))
        network = golden_network(record, keys)
        assert typed_shapes(network) == keys, name
        assert record.weights.url == of_paddleclas[f"{name} url"]
        state = network.state_dict()
        for entry, expected in of_paddleclas.items():
            owner, _, what = entry.partition(" ")
            if owner == name and what.startswith("buffer "):
                np.testing.assert_array_equal(state[what.removeprefix("buffer ")].numpy(), expected)
            elif owner == name and what not in ("keys", "url", "source"):
                assert_close(golden_scores(record, network, what), expected)


@pytest.mark.slow
def test_published_names_of_dinov2_give_its_class_token_and_swin_its_scores(of_transformers):
    module = Module(DINOV2, weights=of_transformers / "dinov2" / "model.safetensors")
    expected = {
        entry.partition(" ")[2]: value
        for entry, value in np.load(of_transformers / "answers.npz").items()
        if entry.startswith(f"{DINOV2} ") and not entry.endswith((" keys", " source"))
    }
    assert set(expected) == {"224x224", "518x518", "154x224", "70x70"}
    for size, token in expected.items():
        assert_close(golden_scores(module.backbone, module.network, size), token)
    record = find(SWIN).backbone
    network = golden_network(record, typed_shapes(record.build(num_classes=1000)))
    expected = np.load(of_transformers / "answers.npz")[f"{SWIN} 224x224"]
    assert_close(golden_scores(record, network, "224x224"), expected)
