"""Putting weights into a network: all of them, or an error and an untouched network."""

import numpy as np
import pytest
from paddle import nn

from hubtune.errors import ModelError
from hubtune.hub.weights import load_into, resolve_weights
from hubtune.models.catalog import find

RESNET50 = find("resnet50_imagenet")
HEAD = frozenset({"2.weight", "2.bias"})


def network(classes=3):
    return nn.Sequential(nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2), nn.Linear(2, classes))


def state_of(layer):
    return {name: tensor.numpy() for name, tensor in layer.state_dict().items()}


def fresh_state(classes=3):
    return {name: array + 1 for name, array in state_of(network(classes)).items()}


def load(layer, state):
    return load_into(layer, state, head=HEAD, source="w.pdparams")


def refusal(layer, state):
    """Return the message of the refusal, after a check that the network is as it was."""
    before = state_of(layer)
    with pytest.raises(ModelError) as error:
        load(layer, state)
    np.testing.assert_equal(state_of(layer), before)
    return str(error.value)


@pytest.mark.parametrize(
    ("classes", "missing"),
    [(3, ()), (1000, ()), (3, {"2.bias"}), (3, HEAD)],
    ids=["all", "other", "half", "no"],
)
def test_all_tensors_are_loaded_but_a_head_that_does_not_fit(classes, missing):
    layer, state = network(), fresh_state(classes)
    for array in state.values():
        array.flags.writeable = False  # as the reader gives them
    whole = classes == 3 and not missing
    head = {name: array for name, array in state_of(layer).items() if name in HEAD and not whole}
    given = {name: array for name, array in state.items() if name not in missing}
    assert load(layer, given) is whole
    np.testing.assert_equal(state_of(layer), {**state, **head})


def test_every_kind_of_difference_is_listed():
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


def test_the_list_ends_after_ten_and_a_head_that_is_not_finite_or_no_weights_are_refused():
    message = refusal(network(), fresh_state() | {f"extra{i}": np.zeros(1, np.float32) for i in range(12)})
    assert "(12 differences)" in message and "… and 2 more" in message
    assert message.count("unexpected") == 10
    state = fresh_state()
    state["2.bias"][0] = -np.inf
    assert "not finite: '2.bias' holds 1 NaN" in refusal(network(), state)
    assert "missing: '0.weight'" in refusal(network(), {})


def test_a_path_is_taken_as_it_is_and_a_wrong_one_names_the_nearest_file(tmp_path):
    file = tmp_path / "ResNet50_pretrained.pdparams"
    file.write_bytes(b"x")
    assert resolve_weights(file, RESNET50) == resolve_weights(str(file), RESNET50) == file
    for wrong, message in (
        ("Resnet50_pretrained.pdparam", r"not there\. Did you mean 'ResNet50_pretrained\.pdparams'"),
        ("no/w.pdparams", r"not there\. Check the path"),
    ):
        with pytest.raises(ModelError, match=message):
            resolve_weights(tmp_path / wrong, RESNET50)
