"""Tensors of other files become those of hubtune's networks: equal logits, to the bit."""

import pickle
from pathlib import Path

import numpy as np
import paddle
import pytest
from support.backbones import random_images
from support.fluid import module_bytes, pack, save_combined, save_parameters, static_state, write_parameters
from support.network_walks import walk

import hubtune
from hubtune.errors import ModelError
from hubtune.hub.identify import identify_backbone
from hubtune.hub.own_names import own_tensors
from hubtune.hub.registry import resolve_module
from hubtune.models.catalog import BACKBONES, find

QUICK = [
    "MobileNetV1_x0_25",
    "MobileNetV2_x0_25",
    "MobileNetV3_small_x0_5",
    "ShuffleNetV2_x0_25",
    "ResNet18_vd",
]
NAMED = [backbone.name for backbone in BACKBONES.values() if backbone.static_names]
SMALL = find("ShuffleNetV2_x0_25").backbone


@pytest.fixture(scope="module")
def network():
    return trained(SMALL)


def trained(backbone, num_classes=1000):
    """A network whose tensors all differ from those of a new one."""
    network = backbone.build(num_classes=num_classes)
    random = np.random.default_rng(1)
    for tensor in network.state_dict().values():
        noise = random.uniform(0.5, 1.5, tensor.shape).astype("float32")
        tensor.set_value(tensor.numpy() * noise if tensor.ndim > 1 else noise)
    network.eval()
    return network


@paddle.no_grad()
def assert_same(network, module):
    images = random_images(module.backbone.input_size)[:1]
    np.testing.assert_array_equal(module.network(images).numpy(), network(images).numpy())


@pytest.mark.parametrize(
    "name",
    [*QUICK, *walk(name for name in NAMED if name not in {find(quick).backbone.name for quick in QUICK})],
)
def test_a_folder_of_paddle_1_gives_the_same_logits(name, tmp_path):
    backbone = find(name).backbone
    network = trained(backbone)
    folder = tmp_path / f"{name.replace(':', '_')}_pretrained"
    folder.mkdir()
    module = hubtune.Module(name, save_parameters(folder, static_state(backbone, network)))
    assert_same(network, module)
    assert len(module.labels) == 1000
    assert module.weights_file == folder and len(module.weights_sha256) == 64


def test_archives_files_of_all_and_modules_give_the_same_and_tell_the_architecture(network, tmp_path):
    state = static_state(SMALL, network)
    folder = write_parameters(tmp_path / "ShuffleNetV2_x0_25_pretrained", state)
    hub = tmp_path / "shufflenet_v2_x0_25_imagenet"
    write_parameters(hub / "model", {f"@HUB_{hub.name}@{name}": value for name, value in state.items()})
    (hub / "module_desc.pb").write_bytes(module_bytes(hub.name))
    for path in (
        folder,
        pack(folder, tmp_path / f"{folder.name}.tar.gz"),
        hub,
        pack(hub, tmp_path / "hub.tar"),
    ):
        assert_same(network, hubtune.Module(path))
    checksums = {hubtune.Module(SMALL.name, path).weights_sha256 for path in (folder, hub)}
    assert len(checksums) == 2
    # In the order of the names; only the architecture tells what these are.
    combined = save_combined(tmp_path / "__params__", state)
    assert_same(network, hubtune.Module(SMALL.name, combined))
    # What `fluid.save` wrote.
    (tmp_path / "ppcls.pdparams").write_bytes(pickle.dumps(state, protocol=2))
    assert_same(network, hubtune.Module(tmp_path / "ppcls.pdparams"))


@pytest.mark.slow
def test_networks_of_the_same_tensors_are_told_apart_by_the_file_or_the_module(tmp_path):
    vc, vd = (find(name).backbone for name in ("ResNet50_vc", "ResNet50_vd"))
    state = static_state(vc, vc.build(num_classes=5))
    with pytest.raises(ModelError, match=r"fits several architectures \(resnet50_vd.*resnet50_vc"):
        identify_backbone(Path("weights"), state)
    assert identify_backbone(Path("ResNet50_vc_pretrained"), state) == (vc, 5)
    assert identify_backbone(Path("ResNet50_vd_pretrained.tar.gz"), state) == (vd, 5)
    prefixed = {f"@HUB_{vc.name}@{name}": value for name, value in state.items()}
    module = resolve_module(str(write_parameters(tmp_path / "hub", prefixed)))
    assert (module.pretrained.backbone, module.num_classes) == (vc, 5)


def test_all_variables_are_used_once_or_the_first_that_differ_are_named(network, tmp_path):
    state = static_state(SMALL, network)
    assert own_tensors(SMALL, network, state).keys() == network.state_dict().keys()
    state["stage1_conv_weights"] = state["stage1_conv_weights"][:1]
    state["extra"] = state.pop("stage_2_1_conv4_weights")
    folder = write_parameters(tmp_path / "net", state)
    with pytest.raises(ModelError) as caught:
        hubtune.Module(SMALL.name, folder)
    assert (
        "(3 differences):\n"
        "  shape: '_conv1._conv.weight' is [1, 3, 3, 3] in the file and [24, 3, 3, 3] in the network\n"
        "  missing: '2_1._conv_dw_1._conv.weight' with the shape [24, 1, 3, 3]\n"
        "  unexpected: 'extra' with the shape [24, 1, 3, 3]\n"
    ) in str(caught.value)
    short = save_combined(tmp_path / "__params__", dict([*state.items()][1:]))
    with pytest.raises(ModelError, match=r"has 281 parameters without names, and shufflenet.* has 282"):
        hubtune.Module(SMALL.name, short)


def test_a_module_of_an_unknown_network_and_one_of_other_tensors_are_refused(network, tmp_path):
    state = static_state(SMALL, network)
    for module, words in (
        (
            "inventednet_imagenet",
            "the weights of PaddleHub's module 'inventednet_imagenet', whose network",
        ),
        ("mobilenet_v2_imagenet", "do not fit the network"),
    ):
        prefixed = {f"@HUB_{module}@{name}": value for name, value in state.items()}
        folder = write_parameters(tmp_path / module, prefixed)
        with pytest.raises(ModelError, match=words):
            hubtune.Module(folder)


def test_networks_that_paddle_1_did_not_have_keep_the_names_of_a_file(tmp_path):
    backbone = find("PPLCNet_x0_25").backbone
    tensors = {"conv1_weights": np.zeros(3, "float32")}
    assert own_tensors(backbone, backbone.build(num_classes=2), tensors) is tensors
