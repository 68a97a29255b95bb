"""Models are read from the folders of models and runs; others are refused with what to name."""

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train

from hubtune.errors import ModelError
from hubtune.inference.load_model import load_model, model_folder_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(smallnet(), draw_split(folder / "data", {"a": 4, "b": 4}), folder / "run", epochs=1)


def test_a_run_and_its_model_folder_are_the_same_model(run):
    assert model_folder_of(run.path) == model_folder_of(run.best_model) == run.best_model
    one, other = load_model(run.path), load_model(run.best_model)
    assert (one.labels, one.card) == (["a", "b"], other.card)


def test_other_folders_are_refused_with_what_to_name(run, tmp_path):
    (tmp_path / "recipe.yaml").touch()
    for folder, message in (
        (tmp_path / "none", "There is no run or model .*none: name the folder of one"),
        (run.path / "checkpoints", "is neither a run nor a model"),
        (tmp_path, "has no model yet, as it has not reached its first evaluation: continue it with"),
    ):
        with pytest.raises(ModelError, match=message):
            load_model(folder)
