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


def put(place, content):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def paddleclas(content, folder=".paddleclas/weights"):
    return put(Path.home() / folder / "Net_pretrained.pdparams", content)


def resolved(entry=SHUFFLENET):
    """The file of the official weights; ``None`` if the network would be needed."""
    try:
        return resolve_weights("official", entry)
    except MachineError as error:
        assert "HUBTUNE_OFFLINE" in str(error)
        return None


@pytest.mark.parametrize("folder", [".paddleclas/weights", ".cache/paddle/hapi/weights"])
def test_a_file_in_another_programs_cache_is_used_and_its_sum_recorded(folder, monkeypatch):
    file = paddleclas(weights(), folder)
    assert find_local_weights(SHUFFLENET) == resolved() == file
    assert [*file.parent.iterdir()] == [file]
    monkeypatch.setitem(BY_NAME, SHUFFLENET.name, SHUFFLENET)
    module = Module(SHUFFLENET.name)
    assert (module.weights_file, len(module.labels)) == (file, 1000)
    file.write_bytes(weights(seed=1))  # no longer what was first used
    assert resolved() is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(weights()[:-10], id="cut"),
        pytest.param(weights(num_classes=7), id="7-classes"),
        pytest.param(b"{}", id="json"),
        pytest.param(save({"x": np.ones(3)}), id="other"),
    ],
)
def test_what_is_not_these_weights_is_passed_over_and_never_recorded(content):
    file = paddleclas(content)
    assert resolved() is None
    file.write_bytes(weights())
    assert resolved() == file


def test_a_published_sum_holds_in_other_caches_too(told):
    content = weights()
    file = paddleclas(content)
    assert resolved(with_sums(md5=hashlib.md5(content).hexdigest())) == file
    assert resolved(with_sums(sha256="0" * 64)) is None
    assert "left alone" in told.text
    assert file.read_bytes() == content


def test_hubtunes_own_cache_comes_first_unless_it_is_damaged_and_its_record_holds_everywhere():
    other = paddleclas(weights())
    own = put(weights_cache.cache_path(URL), weights())
    assert resolved() == own
    own.write_bytes(b"damaged")
    assert resolved() == other
    own.unlink()
    other.write_bytes(weights(seed=1))
    assert resolved() is None


def test_pull_brings_a_copy_into_hubtunes_own_cache():
    file = paddleclas(weights())
    assert pull_weights(SHUFFLENET) == weights_cache.cache_path(URL)
    file.unlink()
    assert resolved() == weights_cache.cache_path(URL)


def test_an_installed_paddlehub_module_is_used_if_its_weights_fit(monkeypatch, tmp_path, told):
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    file = put(tmp_path / "modules" / SHUFFLENET.name / "model.pdparams", weights())
    assert resolved(with_sums(sha256="0" * 64)) == file  # the sum is of another form of the file
    weights_cache.checksum_record(weights_cache.cache_path(file.as_uri())).unlink()
    assert resolved(replace(SHUFFLENET, backbone=find("smallnet").backbone)) is None
    assert "does not hold the tensors of smallnet: left alone" in told.text
