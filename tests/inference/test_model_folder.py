"""A model folder holds everything that prediction needs; what does not fit together is refused."""

import json

import numpy as np
import paddle
import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hub.file_names import MODEL_FILE
from hubtune.hub.model_card import ModelCard, read_card
from hubtune.inference.model_folder import read_model, write_model
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.models.taps import Tap
from hubtune.storage.checked_folder import write_checked

CARD = ModelCard(
    architecture="smallnet",
    hidden_units=[5],
    labels=["cat", "half a \udcff"],
    preprocessing=Preprocessing(),
    module="smallnet",
    module_sha256=None,
    strategy="frozen",
    step=0,
    metrics={},
)


@pytest.fixture
def model():
    paddle.seed(0)
    return Classifier(find("smallnet").backbone, 2, hidden_units=[5])


@pytest.fixture
def folder(model, tmp_path):
    write_model(tmp_path / "model", model, CARD)
    return tmp_path / "model"


def test_a_model_is_read_as_it_was_written_unless_it_is_damaged(model, folder):
    classifier, card = read_model(folder)
    assert card == read_card(folder) == CARD
    assert not classifier.training
    for name, tensor in model.state().items():
        np.testing.assert_array_equal(classifier.state()[name].numpy(), tensor.numpy())
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError):
        read_card(folder)


def test_taps_and_their_projections_are_part_of_a_model_and_unknown_ones_are_refused(tmp_path):
    model = Classifier(find("resnet18_imagenet").backbone, 2)
    model.take_second_order(model.find_taps(["stage3", "stage4.-1"], 64))
    taps = list(model.second_order.taps)
    assert [tap.channels for tap in taps] == [256, 512]
    card = CARD.model_copy(update={"architecture": "resnet18_imagenet", "hidden_units": [], "taps": taps})
    write_model(tmp_path / "model", model, card)
    classifier, read = read_model(tmp_path / "model")
    assert read.taps == taps
    images = paddle.randn([1, 3, 64, 64])
    assert np.array_equal(classifier(images).numpy(), model(images).numpy())
    projection = classifier.state()["second_order.projection1"]
    assert projection.shape == [128, 512]
    for name in ("stage1", "stage4.7", "stage3.0", "head"):
        moved = card.model_copy(update={"taps": [Tap(name, 256), taps[1]]})
        write_model(tmp_path / "model", model, moved)
        with pytest.raises(ModelError, match=f"names taps that resnet18_imagenet lacks: .*no {name}"):
            read_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a", "b", "c"]}, "describes another head than its weights"),
        ({"hidden_units": [65_536]}, "describes another head than its weights"),
        (
            {"schema_version": 7},
            r"has format 7, and this hubtune reads formats up to 6: install a newer hubtune",
        ),
        ({"schema_version": "new"}, r"\(schema_version: .* by a newer version"),
        ({"taps": [{"name": "stage2", "channels": 32}]}, "describes another head than its weights"),
        ({"labels": ["a", "a"]}, "not a model description that this hubtune reads"),
        (
            {"further_views": [{**CARD.preprocessing.model_dump(), "mean": [0.0, 0.0, 0.0]}]},
            "further_views have another mean, std, channels or bits",
        ),
        ({"module": "x" * 2**24}, "is no model description: it has more than"),
        (None, "is not valid JSON: get a good copy of the model"),
    ],
    ids="labels widths newer version taps twice views size json".split(),
)
def test_a_description_that_does_not_fit_is_refused(folder, change, message):
    # As by a program that also writes the folder's checksums.
    weights = (folder / "model.safetensors").read_bytes()
    document = json.loads((folder / MODEL_FILE).read_bytes())
    content = "{" if change is None else json.dumps({**document, **change})
    write_checked(folder, {"model.safetensors": weights, MODEL_FILE: content.encode()})
    with pytest.raises(ModelError, match=message):
        read_model(folder)
