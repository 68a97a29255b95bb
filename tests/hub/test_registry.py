"""Module names, folders and files are resolved, and damaged descriptions explained."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import hubtune
from hubtune.errors import ModelError, UsageError
from hubtune.hub.module_code import load_backbone
from hubtune.hub.registry import imagenet_classes, resolve_module
from hubtune.recipe.schema import ImageSettings
from hubtune.storage.atomic import sha256_of


def test_a_hub_name_has_the_records_preprocessing_and_imagenets_classes():
    module = resolve_module("ResNet50")
    assert module.pretrained.name == "resnet50_imagenet"
    assert (module.preprocessing.size, module.preprocessing.resize) == (224, 256)
    assert module.labels == imagenet_classes()
    assert (len(module.labels), module.labels[0], module.own_weights()) == (1000, "tench, Tinca tinca", None)
    for settings, message in (
        ({"fit": "whole"}, r"x takes pictures of 224×224 only, and fit: whole gives other sizes"),
        ({"size": 160}, r"size: 160 does not go with x, .* only: remove size"),
    ):
        with pytest.raises(UsageError, match=message):
            resolve_module("alexnet_imagenet").preprocessing_for("x", ImageSettings(**settings))


def test_weights_and_classes_come_from_the_folder_where_they_are_used(mine):
    network = load_backbone(mine, trust_code=True)[0].build(num_classes=3)
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    save_file(tensors, mine / "w.safetensors")
    with (mine / "module.yaml").open("a", encoding="utf-8") as file:
        file.write(f"weights: {{file: w.safetensors, sha256: {sha256_of(mine / 'w.safetensors')}}}\n")
        file.write("classes: [apple, pear, plum]\n")
    module = hubtune.Module(mine, trust_code=True)
    assert module.labels == ("apple", "pear", "plum")
    np.testing.assert_array_equal(module.network.state_dict()["fc.weight"].numpy(), tensors["fc.weight"])
    (mine / "w.safetensors").unlink()
    assert hubtune.Module(mine, weights=None, trust_code=True).weights_file is None
    with pytest.raises(ModelError, match=r"w\.safetensors, which are not there"):
        hubtune.Module(mine, trust_code=True)
    (mine / "module.yaml").unlink()
    with pytest.raises(ModelError, match=r"has no module\.yaml"):
        hubtune.Module(mine, weights=None, trust_code=True)


SMALLNET = "architecture: smallnet\nlicence: MIT\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "the file: it must hold keys"),
        (f"name: m\n{SMALLNET}license: MIT\n", "license: no such key. Did you mean"),
        ("name: m\narchitecture: smalnet\nlicence: MIT\n", r"'smalnet', .* Did you mean 'smallnet'\?"),
        (f"name: m\n{SMALLNET}preprocessing: {{mean: [.nan, 0, 0]}}\n", "mean.0: Input should be a finite"),
        (f"name: m\n{SMALLNET}classes: [a, ' ']\n", "classes: a class has no name"),
        (
            "name: m\narchitecture: dinov2_vits14\nlicence: MIT\npreprocessing: {size: 100, resize: 100}\n",
            "takes multiples of 14: correct preprocessing.size",
        ),
    ],
)
def test_mistakes_in_the_description_are_explained(tmp_path, lines, message):
    (tmp_path / "module.yaml").write_text(lines)
    with pytest.raises(ModelError, match=message):
        hubtune.Module(tmp_path, weights=None)
