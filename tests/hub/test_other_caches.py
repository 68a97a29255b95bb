"""Weights that PaddleClas, Paddle and PaddleHub have on this machine are used where they lie."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from hubtune.errors import MachineError
from hubtune.hub import cache
from hubtune.hub.module import Module
from hubtune.hub.weights import kept, resolve
from hubtune.models.backbone import PublishedWeights
from hubtune.models.catalog import BACKBONES

SHUFFLENET = BACKBONES["paddle.vision:shufflenet_v2_x0_25"]
URL = "https://example.com/dygraph/Net_pretrained.pdparams"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")


def weights(seed: int = 0) -> bytes:
    random = np.random.default_rng(seed)
    network = SHUFFLENET.build(num_classes=1000)
    return save(
        {key: random.random(value.shape, np.float32) + 0.5 for key, value in network.state_dict().items()}
    )


def put(place: Path, content: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("folder", [".paddleclas/weights", ".cache/paddle/hapi/weights"])
def test_a_file_in_another_programs_cache_is_used_and_its_sum_recorded(folder: str) -> None:
    content = weights()
    file = put(Path.home() / folder / "Net_pretrained.pdparams", content)
    before = sorted(file.parent.iterdir())
    published = PublishedWeights(URL)
    assert kept(SHUFFLENET, published) == file
    assert resolve("official", SHUFFLENET, published) == file
    assert sorted(file.parent.iterdir()) == before

    file.write_bytes(weights(seed=1))  # no longer what was first used
    with pytest.raises(MachineError, match="HUBTUNE_OFFLINE"):
        resolve("official", SHUFFLENET, published)


def test_a_published_sum_holds_in_other_caches_too(caplog: pytest.LogCaptureFixture) -> None:
    content = weights()
    file = put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", content)
    right = PublishedWeights(URL, md5=hashlib.md5(content).hexdigest())
    assert resolve("official", SHUFFLENET, right) == file
    with caplog.at_level(logging.WARNING, "hubtune"), pytest.raises(MachineError):
        resolve("official", SHUFFLENET, PublishedWeights(URL, sha256="0" * 64))
    assert "left alone" in caplog.text
    assert file.read_bytes() == content


def test_hubtunes_own_cache_comes_first() -> None:
    put(Path.home() / ".paddleclas/weights/Net_pretrained.pdparams", weights(seed=1))
    own = put(cache.cached(URL), weights())
    assert resolve("official", SHUFFLENET, PublishedWeights(URL)) == own


def test_an_installed_paddlehub_module_is_used_if_its_weights_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = PublishedWeights(URL, names=("shuffle_imagenet",))
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    file = put(tmp_path / "modules" / "shuffle_imagenet" / "model.pdparams", weights())
    assert resolve("official", SHUFFLENET, published) == file
    with caplog.at_level(logging.WARNING, "hubtune"), pytest.raises(MachineError):
        resolve("official", BACKBONES["smallnet"], published)
    assert "is not of smallnet: left alone" in caplog.text


def test_a_damaged_paddlehub_file_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    put(tmp_path / "modules" / SHUFFLENET.name / "model.pdparams", b"\x80\x04.")
    with pytest.raises(MachineError):
        resolve("official", SHUFFLENET, PublishedWeights(URL))


def test_a_module_uses_them() -> None:
    published = SHUFFLENET.weights
    assert published is not None
    # Its sum is published, so a drawn file cannot stand for it.
    put(Path.home() / ".cache/paddle/hapi/weights" / published.url.rpartition("/")[2], weights())
    with pytest.raises(MachineError):
        Module(SHUFFLENET.name)
