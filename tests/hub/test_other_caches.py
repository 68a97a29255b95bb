"""Weights that PaddleClas, Paddle and PaddleHub have on this machine are used where they lie."""

import hashlib
import logging
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
from hubtune.models.catalog import BY_NAME, Pretrained, find

URL = "https://example.com/dygraph/Net_pretrained.pdparams"
SHUFFLENET = replace(find("paddle.vision:shufflenet_v2_x0_25"), weights=PublishedWeights(URL))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")


def weights(seed: int = 0, num_classes: int = 1000) -> bytes:
    random = np.random.default_rng(seed)
    network = SHUFFLENET.backbone.build(num_classes=num_classes)
    return save(
        {key: random.random(value.shape, np.float32) + 0.5 for key, value in network.state_dict().items()}
    )


def with_sums(**sums: str) -> Pretrained:
    return replace(SHUFFLENET, weights=PublishedWeights(URL, **sums))


def put(place: Path, content: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("folder", [".paddleclas/weights", ".cache/paddle/hapi/weights"])
def test_a_file_in_another_programs_cache_is_used_and_its_sum_recorded(folder: str) -> None:
    file = put(Path.home() / folder / "Net_pretrained.pdparams", weights())
    before = sorted(file.parent.iterdir())
    assert find_local_weights(SHUFFLENET) == file
    assert resolve_weights("official", SHUFFLENET) == file
    assert sorted(file.parent.iterdir()) == before

    file.write_bytes(weights(seed=1))  # no longer what was first used
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE"):
        resolve_weights("official", SHUFFLENET)


@pytest.mark.parametrize("content", [weights()[:-10], weights(num_classes=7), b"{}", save({"x": np.ones(3)})])
def test_what_is_not_these_weights_is_passed_over_and_never_recorded(content: bytes) -> None:
    file = put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", content)
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE"):
        resolve_weights("official", SHUFFLENET)
    file.write_bytes(weights())
    assert resolve_weights("official", SHUFFLENET) == file


def test_a_published_sum_holds_in_other_caches_too(caplog: pytest.LogCaptureFixture) -> None:
    content = weights()
    file = put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", content)
    assert resolve_weights("official", with_sums(md5=hashlib.md5(content).hexdigest())) == file
    with caplog.at_level(logging.WARNING, "hubtune"), pytest.raises(MachineError):
        resolve_weights("official", with_sums(sha256="0" * 64))
    assert "left alone" in caplog.text
    assert file.read_bytes() == content


def test_hubtunes_own_cache_comes_first_unless_it_is_damaged() -> None:
    other = put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", weights())
    own = put(weights_cache.cache_path(URL), weights())
    assert resolve_weights("official", SHUFFLENET) == own
    own.write_bytes(b"damaged")
    assert resolve_weights("official", SHUFFLENET) == other


def test_what_was_first_used_holds_for_other_programs_copies_too() -> None:
    own = put(weights_cache.cache_path(URL), weights())
    assert resolve_weights("official", SHUFFLENET) == own
    own.unlink()
    put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", weights(seed=1))
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE"):
        resolve_weights("official", SHUFFLENET)


def test_pull_brings_a_copy_into_hubtunes_own_cache() -> None:
    file = put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", weights())
    assert pull_weights(SHUFFLENET) == weights_cache.cache_path(URL)
    file.unlink()
    assert resolve_weights("official", SHUFFLENET) == weights_cache.cache_path(URL)


def test_an_installed_paddlehub_module_is_used_if_its_weights_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    file = put(tmp_path / "modules" / SHUFFLENET.name / "model.pdparams", weights())
    assert (
        resolve_weights("official", with_sums(sha256="0" * 64)) == file
    )  # the sum is of another form of the file
    other = replace(SHUFFLENET, backbone=find("smallnet").backbone)
    weights_cache.checksum_record(weights_cache.cache_path(file.as_uri())).unlink()
    with caplog.at_level(logging.WARNING, "hubtune"), pytest.raises(MachineError):
        resolve_weights("official", other)
    assert "does not hold the tensors of smallnet: left alone" in caplog.text


def test_a_module_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, SHUFFLENET.name, SHUFFLENET)
    file = put(Path.home() / ".cache/paddle/hapi/weights/Net_pretrained.pdparams", weights())
    module = Module(SHUFFLENET.name)
    assert module.weights_file == file
    assert len(module.labels) == 1000
