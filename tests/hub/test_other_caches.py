"""Weights that PaddleClas, Paddle and PaddleHub have on this machine are used where they lie."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from hubtune.errors import MachineError
from hubtune.hub import weights_cache
from hubtune.hub.module import Module
from hubtune.hub.weights import find_local_weights, pull_weights, resolve_weights
from hubtune.models.backbone import PublishedWeights
from hubtune.models.catalog import BY_NAME, find
from hubtune.storage.published_file import checksum_record

URL = "https://example.com/dygraph/Net_pretrained.pdparams"
SHUFFLENET = replace(find("paddle.vision:shufflenet_v2_x0_25"), weights=PublishedWeights(URL))


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")


def weights(seed=0, num_classes=1000):
    random = np.random.default_rng(seed)
    state = SHUFFLENET.backbone.build(num_classes=num_classes).state_dict()
    return save({key: random.random(value.shape, np.float32) + 0.5 for key, value in state.items()})


def with_sums(**sums):
    return replace(SHUFFLENET, weights=PublishedWeights(URL, **sums))


def put(content, place=".paddleclas/weights/Net_pretrained.pdparams"):
    file = Path.home() / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def resolved(entry=SHUFFLENET):
    """The file of the official weights; ``None`` if the network would be needed."""
    try:
        return resolve_weights("official", entry)
    except MachineError as error:
        assert "HUBTUNE_OFFLINE" in str(error)
        return None


@pytest.mark.parametrize("folder", [".paddleclas", ".cache/paddle/hapi"])
def test_a_file_in_another_programs_cache_is_used_and_its_sum_recorded(folder, monkeypatch):
    file = put(weights(), f"{folder}/weights/Net_pretrained.pdparams")
    assert find_local_weights(SHUFFLENET) == resolved() == file
    assert [*file.parent.iterdir()] == [file]
    monkeypatch.setitem(BY_NAME, SHUFFLENET.name, SHUFFLENET)
    module = Module(SHUFFLENET.name)
    assert (module.weights_file, len(module.labels)) == (file, 1000)
    file.write_bytes(weights(seed=1))  # no longer what was first used
    assert resolved() is None


def test_what_is_not_these_weights_is_passed_over_and_never_recorded(told):
    for content in (weights()[:-10], weights(num_classes=7), b"{}", save({"x": np.ones(3)})):
        file = put(content)
        assert resolved() is None
    content = weights()
    file.write_bytes(content)
    assert resolved(with_sums(md5=hashlib.md5(content).hexdigest())) == file
    told.clear()
    assert resolved(with_sums(sha256="0" * 64)) is None
    assert "left alone" in told.text
    assert file.read_bytes() == content
    assert resolved() == file


def test_hubtunes_own_cache_comes_first_unless_it_is_damaged_and_its_record_holds_everywhere():
    other = put(weights())
    own = weights_cache.cache_path(URL)
    assert pull_weights(SHUFFLENET) == own
    assert resolved() == own
    own.write_bytes(b"damaged")
    assert resolved() == other
    own.unlink()
    other.write_bytes(weights(seed=1))
    assert resolved() is None


def test_an_installed_paddlehub_module_is_used_if_its_weights_fit(monkeypatch, tmp_path, told):
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    file = put(weights(), tmp_path / "modules" / SHUFFLENET.name / "model.pdparams")
    assert resolved(with_sums(sha256="0" * 64)) == file  # the sum is of another form of the file
    checksum_record(weights_cache.cache_path(file.as_uri())).unlink()
    assert resolved(replace(SHUFFLENET, backbone=find("smallnet").backbone)) is None
    assert "does not hold the tensors of smallnet: left alone" in told.text
