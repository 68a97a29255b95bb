"""Model folders that are damaged, or describe another network than they hold, are refused."""

import json

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.storage.checked_folder import write_checked


@pytest.fixture
def folder(tmp_path):
    """The folder of a model that was just trained."""
    data = draw_split(tmp_path / "data", {"a": 8, "b": 8, "c": 8}, validate=2, test=0)
    return train_frozen(smallnet(), data, tmp_path / "run").best_model


def test_a_damaged_model_is_refused(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(hubtune.ModelError, match=r"model.safetensors is damaged: its SHA-256 differs"):
        hubtune.load_model(folder.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_units": [65536] * 16}, "describes another head than its weights"),
        ({"labels": ["a"] * 3}, "two classes have one name"),
    ],
)
def test_a_card_that_does_not_fit_the_weights_is_refused_before_anything_is_built(
    folder, tmp_path, changes, message
):
    card = json.loads((folder / "model.json").read_text())
    files = {
        "model.safetensors": (folder / "model.safetensors").read_bytes(),
        "model.json": json.dumps({**card, **changes}).encode(),
    }
    write_checked(tmp_path / "other", files)
    with pytest.raises(hubtune.ModelError, match=message):
        hubtune.load_model(tmp_path / "other")
