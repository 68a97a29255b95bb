"""A weights file alone says which architecture it was made for, or is refused."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.backbones import slow

import hubtune
from hubtune.errors import ModelError
from hubtune.hub.identify import identify_backbone
from hubtune.hub.registry import resolve_module
from hubtune.models.catalog import BACKBONES


def write(file, name, num_classes):
    network = BACKBONES[name].build(num_classes=num_classes)
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    save_file(tensors, file)
    return tensors


@pytest.mark.parametrize(
    "name",
    [
        *("esnet_x0_25_imagenet", "ghostnet_x0_5_imagenet"),
        *slow("darknet53_imagenet", "dpn68_imagenet", "efficientnetb0_imagenet", "hrnet18_imagenet"),
        *slow("res2net50_26w_4s_imagenet", "res2net50_vd_26w_4s_imagenet"),
        # paddle.vision has names for these, too.
        *slow("alexnet_imagenet", "densenet121_imagenet", "googlenet_imagenet"),
    ],
)
def test_a_network_is_recognised_by_its_file(tmp_path, name):
    write(tmp_path / "w.safetensors", name, 7)
    assert resolve_module(str(tmp_path / "w.safetensors")).pretrained.name == name


@pytest.mark.parametrize("num_classes", [1000, 7])
def test_a_file_is_a_modules_name(tmp_path, num_classes):
    file = tmp_path / "my weights.safetensors"
    tensors = write(file, "paddle.vision:mobilenet_v3_small", num_classes)
    module = hubtune.Module(file)
    assert module.backbone.name == "paddle.vision:mobilenet_v3_small"
    assert len(module.labels) == (1000 if num_classes == 1000 else 0)
    for key, value in module.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), tensors[key])


def test_other_tensors_and_those_of_several_architectures_are_refused_unless_the_file_is_named(tmp_path):
    file = tmp_path / "w.safetensors"
    tensors = write(file, "smallnet", 3)
    more = {**tensors, "more": np.zeros(3, np.float32)}
    renamed = {key + "x": value for key, value in tensors.items()}
    for changed in (more, dict([*tensors.items()][1:]), renamed):
        save_file(changed, file)
        with pytest.raises(ModelError, match="fits no architecture that hubtune knows"):
            hubtune.Module(file)
    name = "paddle.vision:shufflenet_v2_swish"
    tensors = write(file, name, 1000)
    assert identify_backbone(Path(f"{name}.safetensors"), tensors) == (BACKBONES[name], 1000)
    with pytest.raises(ModelError, match=r"several architectures \(.*shufflenet_v2_x1_0.*: name one of them"):
        hubtune.Module(file)


@pytest.mark.slow
def test_swin_is_recognised_by_a_file_with_its_indices_and_other_indices_are_refused(tmp_path):
    file = tmp_path / "w.safetensors"
    tensors = write(file, "swin_tiny_patch4_window7_224_imagenet", 5)
    assert resolve_module(str(file)).pretrained.name == "swin_tiny_patch4_window7_224_imagenet"
    key = next(key for key in tensors if key.endswith("relative_position_index"))
    save_file({**tensors, key: tensors[key] + 1000}, file)
    with pytest.raises(ModelError, match=f"values: '{key}' holds other whole numbers"):
        hubtune.Module("swin_tiny_patch4_window7_224_imagenet", file)
