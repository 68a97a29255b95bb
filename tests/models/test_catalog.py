"""The catalog finds every backbone by each of its names."""

import json
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from hubtune import models
from hubtune.errors import ModelError
from hubtune.models import catalog

TESTS = {file.name: file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py")}


def test_every_family_in_the_folder_is_in_the_catalog():
    for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        if module.name != catalog.__name__:
            for record in getattr(import_module(module.name), "BACKBONES", ()):
                assert catalog.BACKBONES[record.name] is record


def test_every_familys_test_file_walks_its_records():
    for module in pkgutil.iter_modules(models.__path__):
        family = import_module(f"{models.__name__}.{module.name}")
        if hasattr(family, "BACKBONES") and family is not catalog:
            assert f"records_of({module.name})" in TESTS[f"test_{module.name}.py"]


def test_every_reference_is_compared(material):
    compared = "".join(text for text in TESTS.values() if "check_reference" in text)
    references = sorted(path.stem for path in (material / "architectures").glob("*.json"))
    assert references
    assert [name for name in references if json.dumps(name) not in compared] == []


def test_names_and_class_names_find_the_same_backbone():
    assert catalog.find("xception71_imagenet") is catalog.find("Xception71")
    assert catalog.find("resnet50_imagenet").weights.url == (
        "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models/ResNet50_pretrained.pdparams"
    )


def test_unknown_name_is_refused_with_the_nearest_and_the_forms():
    with pytest.raises(ModelError) as refusal:
        catalog.find("resnet50_imagnet")
    assert str(refusal.value) == (
        "There is no backbone 'resnet50_imagnet'. Did you mean 'resnet50_imagenet'? Known forms are hub "
        "names such as 'resnet50_imagenet', class names such as 'ResNet50', and 'paddle.vision:resnet50'; "
        "`hubtune hub list` shows all."
    )


def test_a_name_given_twice_is_refused():
    record = catalog.find("smallnet")
    with pytest.raises(ValueError, match="two backbones are called 'smallnet'"):
        catalog._by_name([record, record])
