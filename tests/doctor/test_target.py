"""A run, a recipe or pictures are examined, whatever names them."""

import json

import pytest
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train

from hubtune.doctor.target import examine_target
from hubtune.errors import DataError, UsageError


@pytest.fixture
def data(tmp_path):
    return draw_faint_split(tmp_path / "data", each=8, validate=2, test=2)


@pytest.fixture
def run(data, tmp_path):
    return train(smallnet(), data, tmp_path / "run", log_interval=1).path


def _groups(examination):
    return [check.group for check in examination.checks]


def test_a_run_has_its_training_and_its_lists_examined(run, data):
    examined = examine_target(run)
    assert set(_groups(examined)) == {"Training", "Lists"}
    assert {"end", "learning"} <= {check.name for check in examined.checks}
    assert {"run/recipe.yaml", "run/metrics.jsonl", "run/train.log"} <= examined.texts.keys()
    assert examine_target(run / "best_model") == examine_target(run / "recipe.yaml") == examined
    # A model tells of its training although its lists are gone.
    (data / "train_list.txt").unlink()
    lists = [check for check in examine_target(run).checks if check.group == "Lists"]
    assert [check.state for check in lists] == ["note"] and "cannot be read any more" in lists[0].finding
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "skipped": {"train": 2, "test": 0}}))
    unreadable = [check for check in examine_target(run).checks if check.name == "unreadable"]
    assert [check.finding for check in unreadable] == [
        "2 pictures could not be read and were left out: 2 training"
    ]


def test_a_recipe_and_its_lists_are_examined(data, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data: {{base: {data}}}\nmodule: resnet50_imagenet\n")
    examined = examine_target(recipe)
    assert set(_groups(examined)) == {"Recipe"} and [*examined.texts] == ["recipe/r.yaml"]
    assert examined.checks[0].finding == "The recipe is valid: resnet50_imagenet, default_finetune"
    recipe.write_text("data: {base: nowhere}\nmodule: resnet50_imagenet\n")
    missing = examine_target(recipe).checks[-1]
    assert (missing.name, missing.state, missing.cure) == ("lists", "bad", "hubtune split nowhere")


def test_pictures_are_examined_without_lists(data, tmp_path, draw_photos):
    pics = draw_photos(tmp_path / "pics", {"a": 12, "b": 3})
    names = {check.name: check for check in examine_target(pics).checks}
    assert "2 classes: a, b" in names["source"].finding and "b (3)" in names["few-pictures"].finding
    assert {check.group for check in examine_target(data / "train_list.txt").checks} == {"Pictures"}


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="name a run, a recipe or pictures, or nothing for this machine"):
        examine_target(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no class folder"):
        examine_target(tmp_path / "empty")
