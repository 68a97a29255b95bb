"""Putting weights into a network: all of them, or an error and an untouched network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubtune.errors import ModelError
from hubtune.hub import weights_cache

paddle = pytest.importorskip("paddle")

from hubtune.hub.weights import load_into, resolve_weights  # noqa: E402 (needs Paddle)
from hubtune.models.backbone import PublishedWeights  # noqa: E402
from hubtune.models.catalog import find  # noqa: E402

RESNET50 = find("resnet50_imagenet")

HEAD = frozenset({"2.weight", "2.bias"})


def network(classes: int = 3) -> "paddle.nn.Layer":
    nn = paddle.nn
    return nn.Sequential(nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2), nn.Linear(2, classes))


def state_of(layer: "paddle.nn.Layer") -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in layer.state_dict().items()}


def fresh_state(classes: int = 3) -> dict[str, np.ndarray]:
    return {name: array + 1 for name, array in state_of(network(classes)).items()}


def refusal(layer: "paddle.nn.Layer", state: dict[str, np.ndarray]) -> str:
    """Return the message of the refusal, after a check that the network is as it was."""
    before = state_of(layer)
    with pytest.raises(ModelError) as error:
        load_into(layer, state, head=HEAD, source="w.pdparams")
    for name, array in state_of(layer).items():
        np.testing.assert_array_equal(array, before[name])
    return str(error.value)


def test_all_tensors_are_loaded() -> None:
    layer, state = network(), fresh_state()
    for array in state.values():
        array.flags.writeable = False  # as the reader gives them
    assert load_into(layer, state, head=HEAD, source="w.pdparams") is True
    for name, array in state_of(layer).items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("present", [True, False])
def test_another_head_is_left_alone_and_the_rest_loaded(present: bool) -> None:
    layer, state = network(), fresh_state(classes=1000)
    if not present:
        del state["2.weight"], state["2.bias"]
    head = {name: array for name, array in state_of(layer).items() if name in HEAD}
    assert load_into(layer, state, head=HEAD, source="w.pdparams") is False
    for name, array in state_of(layer).items():
        np.testing.assert_array_equal(array, head[name] if name in HEAD else state[name])


def test_half_a_head_is_not_loaded() -> None:
    layer, state = network(), fresh_state()
    before = state_of(layer)["2.weight"]
    del state["2.bias"]
    assert load_into(layer, state, head=HEAD, source="w.pdparams") is False
    np.testing.assert_array_equal(state_of(layer)["2.weight"], before)


def test_every_kind_of_difference_is_listed() -> None:
    state = fresh_state()
    del state["1.weight"]
    state["0.weight"] = state["0.weight"][:1]
    state["0.bias"] = state["0.bias"].astype(np.float64)
    state["extra"] = np.zeros(2, np.float32)
    state["1.bias"][1] = np.nan
    state["1._mean"][:] = np.inf
    assert refusal(network(), state) == (
        "The weights of w.pdparams do not fit the network, and none were loaded (6 differences):\n"
        "  shape: '0.weight' is [1, 1, 3, 3] in the file and [2, 1, 3, 3] in the network\n"
        "  type: '0.bias' is float64 in the file and float32 in the network\n"
        "  missing: '1.weight' with the shape [2]\n"
        "  not finite: '1.bias' holds 1 NaN or infinite values\n"
        "  not finite: '1._mean' holds 2 NaN or infinite values\n"
        "  unexpected: 'extra' with the shape [2]\n"
        "Name the architecture that the weights were made for, or use weights made for this one."
    )


def test_the_list_ends_after_ten() -> None:
    state = fresh_state() | {f"extra{i}": np.zeros(1, np.float32) for i in range(12)}
    message = refusal(network(), state)
    assert "(12 differences)" in message
    assert message.count("unexpected") == 10
    assert "… and 2 more" in message


def test_a_head_that_is_not_finite_is_refused() -> None:
    state = fresh_state()
    state["2.bias"][0] = -np.inf
    assert "not finite: '2.bias' holds 1 NaN" in refusal(network(), state)


def test_no_weights_at_all_are_refused() -> None:
    assert "missing: '0.weight'" in refusal(network(), {})


def test_official_weights_are_fetched_with_their_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(url: str, known: weights_cache.ExpectedFile, *, progress: object) -> Path:
        calls.append((url, known.sha256, known.md5))
        return Path("x")

    monkeypatch.setattr(weights_cache, "fetch_file", fetch)
    published = PublishedWeights("https://example.com/w.pdparams", sha256="a", md5="b")
    assert resolve_weights("official", replace(RESNET50, weights=published)) == Path("x")
    assert calls == [("https://example.com/w.pdparams", "a", "b")]


def test_a_backbone_without_official_weights_says_so() -> None:
    with pytest.raises(ModelError, match="No official weights are published for smallnet"):
        resolve_weights("official", find("smallnet"))


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "w.pdparams").write_bytes(b"x")
    assert resolve_weights(tmp_path / "w.pdparams", RESNET50) == tmp_path / "w.pdparams"
    assert resolve_weights(str(tmp_path / "w.pdparams"), RESNET50) == tmp_path / "w.pdparams"


def test_a_wrong_path_names_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "ResNet50_pretrained.pdparams").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"not there\. Did you mean 'ResNet50_pretrained\.pdparams'"):
        resolve_weights(tmp_path / "Resnet50_pretrained.pdparam", RESNET50)
    with pytest.raises(ModelError, match="is a folder; name a file"):
        resolve_weights(tmp_path, RESNET50)
    with pytest.raises(ModelError, match=r"not there\. Check the path"):
        resolve_weights(tmp_path / "no" / "w.pdparams", RESNET50)


def test_arrays_of_unexpected_names_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.zeros(10**6, np.float32)
    state = {**fresh_state(), **{f"x{number}": large for number in range(20_000)}}
    layer, isfinite, sizes = network(), np.isfinite, []
    monkeypatch.setattr(np, "isfinite", lambda array: (sizes.append(array.size), isfinite(array))[1])
    assert "unexpected: 'x0'" in refusal(layer, state)
    assert sum(sizes) < large.size
