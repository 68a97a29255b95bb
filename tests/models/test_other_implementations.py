"""The newer backbones answer as the implementations of PaddleClas and of Hugging Face's transformers do."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.backbones import DINOV2, assert_close, golden_network, golden_scores, typed_shapes
from support.environments import python_with

from hubtune import Module
from hubtune.models.catalog import find

# Networks with distilled weights, or those of more classes, only, which PaddleClas has no table of; and one
# whose address lacks a letter there, unlike in its list of all models.
OTHER_ADDRESSES = {
    *("SE_HRNet_W64_C", "PPHGNet_base", "SwinTransformer_large_patch4_window7_224", "ResNeXt101_32x16d_wsl")
}
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


@pytest.fixture(scope="module")
def of_timm(tmp_path_factory):
    python = python_with("HUBTUNE_TIMM_PYTHON", "timm==1.0.31", "torch", "safetensors")
    target = tmp_path_factory.mktemp("timm")
    answer(python, "answers_of_timm.py", target)
    return target


@pytest.mark.slow
def test_every_network_of_paddleclas_is_equalled(of_paddleclas):
    names = [key.removesuffix(" keys") for key in of_paddleclas if key.endswith(" keys")]
    assert len(names) == 107
    for name in names:
        record = find(name).backbone
        keys = json.loads(str(of_paddleclas[f"{name} keys"]))
        network = golden_network(record, keys)
        assert typed_shapes(network) == keys, name
        if name not in OTHER_ADDRESSES:
            assert record.weights.url == of_paddleclas[f"{name} url"]
        state = network.state_dict()
        answers = {
            entry.removeprefix(f"{name} "): answer
            for entry, answer in of_paddleclas.items()
            if entry.startswith(f"{name} ")
        }
        for entry, buffer in answers.items():
            if entry.startswith("buffer "):
                np.testing.assert_array_equal(state[entry.removeprefix("buffer ")].numpy(), buffer)
        sizes = [entry for entry in answers if re.fullmatch(r"\d+x\d+", entry)]
        assert sizes
        for size in sizes:
            assert_close(golden_scores(record, network, size), answers[size])


@pytest.mark.slow
def test_published_names_of_dinov2_give_its_class_token_and_swin_its_scores(of_transformers):
    answers = dict(np.load(of_transformers / "answers.npz"))
    for name in DINOV2:
        module = Module(name, weights=of_transformers / name / "model.safetensors")
        for size in ("224x224", "518x518", "154x224", "70x70"):
            assert_close(golden_scores(module.backbone, module.network, size), answers[f"{name} {size}"])
    record = find(SWIN).backbone
    network = golden_network(record, typed_shapes(record.build(num_classes=1000)))
    assert_close(golden_scores(record, network, "224x224"), answers[f"{SWIN} 224x224"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nasnet_imagenet", "pnasnet_imagenet"])
def test_published_names_of_nasnet_give_timms_scores(name, of_timm):
    answers = dict(np.load(of_timm / "answers.npz"))
    module = Module(name, weights=of_timm / f"{name}.safetensors")
    assert len(module.labels) == 1000
    for size in ("331x331", "224x224", "193x193", "193x160"):
        assert_close(golden_scores(module.backbone, module.network, size), answers[f"{name} {size}"])
