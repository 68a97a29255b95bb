"""The newer backbones answer as the implementations of PaddleClas and of Hugging Face's transformers do.

These slow tests run them, for every width and at other sizes, with the interpreters that
``HUBTUNE_PADDLECLAS_PYTHON`` and ``HUBTUNE_TRANSFORMERS_PYTHON`` name. Without the variables, an environment
is made for each (paddleclas with Paddle; transformers with torch: some gigabytes), once, in the user's cache
folder; if pip cannot install one, its tests are skipped.
"""

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
    command = [python, str(Path(__file__).parent / script), str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
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
        record = find(name).backbone
        keys = json.loads(str(of_paddleclas[f"{name} keys"]))
        network = golden_network(record, keys)
        assert typed_shapes(network) == keys, name
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
            assert_close(golden_scores(record, network, what), expected)
            sizes += 1
        assert sizes >= 1


@pytest.mark.slow
def test_published_names_of_dinov2_give_the_class_token_of_transformers(of_transformers):
    module = Module(DINOV2, weights=of_transformers / "dinov2" / "model.safetensors")
    expected = {
        entry.partition(" ")[2]: value
        for entry, value in np.load(of_transformers / "answers.npz").items()
        if entry.startswith(f"{DINOV2} ") and not entry.endswith((" keys", " source"))
    }
    assert set(expected) == {"224x224", "518x518", "154x224", "70x70"}
    for size, token in expected.items():
        assert_close(golden_scores(module.backbone, module.network, size), token)


@pytest.mark.slow
def test_swin_equals_that_of_transformers(of_transformers):
    record = find(SWIN).backbone
    network = golden_network(record, typed_shapes(record.build(num_classes=1000)))
    expected = np.load(of_transformers / "answers.npz")[f"{SWIN} 224x224"]
    assert_close(golden_scores(record, network, "224x224"), expected)
