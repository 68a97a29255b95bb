"""A fine-tuned model is a module: its network, and its head where classes agree."""

import numpy as np
import paddle
import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train, weight_arrays

import hubtune
from hubtune.errors import ModelError
from hubtune.models.classifier import Classifier


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_split(tmp_path_factory.mktemp("data"), {"a": 8, "b": 8, "c": 8}, validate=2, test=2)


@pytest.fixture(scope="module", params=["frozen", "default", "hidden", "crop"])
def run(request, data, tmp_path_factory):
    settings = {
        "frozen": {"strategy": "frozen"},
        "default": {},
        "hidden": {"hidden_units": [7]},
        "crop": {"fit": "stretch", "size": 24},
    }[request.param]
    return train(smallnet(), data, tmp_path_factory.mktemp("runs") / "run", **settings)


def start(module, labels, hidden_units):
    """Return the classifier that training starts from, and the classes whose head it has."""
    classifier = Classifier(module.backbone, len(labels), hidden_units=hidden_units)
    classifier.load_backbone(module.network)
    kept = module.head.copy_to(classifier, labels)
    classifier.eval()
    return classifier, kept


@paddle.no_grad()
def test_training_starts_from_the_same_function_for_the_classes_of_equal_names(run):
    model, module = hubtune.load_model(run.path, engine="paddle"), hubtune.Module(run.path)
    images = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype("float32"))
    expected = model.classifier(images).numpy()
    labels = ["new", "c", "a"]
    classifier, kept = start(module, labels, module.head.hidden_units)
    assert kept == ["c", "a"]
    logits = classifier(images).numpy()
    columns = [model.labels.index(name) for name in kept]
    np.testing.assert_allclose(logits[:, 1:], expected[:, columns], rtol=1e-5, atol=1e-5)


def test_a_run_and_its_model_folder_are_the_same_module(run):
    one, other = hubtune.Module(run.path), hubtune.Module(run.best_model)
    assert one.weights_sha256 == other.weights_sha256
    assert (one.backbone.name, one.preprocessing) == ("smallnet", other.preprocessing)
    assert one.preprocessing.fit != "whole" and not one.preprocessing.mirror


@pytest.mark.slow
def test_a_recipe_goes_on_from_a_run(run, data, tmp_path, told):
    module = hubtune.Module(run.path)
    trained = train(module, data, tmp_path / "next", hidden_units=[*module.head.hidden_units], epochs=1)
    assert f"the head of {run.path} is kept for 3 of 3 classes" in told.text
    assert hubtune.load_model(trained.path).card.module == str(run.path)
    again = train(module, data, tmp_path / "other", hidden_units=[3], epochs=1)
    assert "the head starts from random values" in told.text
    assert weight_arrays(again.best_model)["head.0.weight"].shape[1] == 3


def test_what_cannot_be_gone_on_from_is_refused(data, tmp_path):
    grey = train(smallnet(), data, tmp_path / "grey", channels=1, epochs=1)
    with pytest.raises(ModelError, match="takes pictures of 1 channels, and training goes on from"):
        hubtune.Module(grey.path)
    with pytest.raises(ModelError, match="is a fine-tuned model: use it by hubtune predict --model"):
        run = train(smallnet(), data, tmp_path / "run", epochs=1)
        hubtune.pretrained_model(hubtune.Module(run.path))
    weights = run.best_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="cannot be used"):
        hubtune.Module(run.path)
