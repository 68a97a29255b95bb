"""Cross-validation of a recipe holds out every image once, and continues where it stopped."""

import json

import pytest
from support.callbacks import AtAdvance, press_ctrl_c
from support.split_folder import draw_split

from hubtune.data.dataset import ListDataset
from hubtune.data.existing_lists import folds_of_lists
from hubtune.errors import ModelError, StoppedError, UsageError
from hubtune.evaluation.metrics import wilson_interval
from hubtune.recipe.load import make_recipe
from hubtune.runs.folder import open_run
from hubtune.tuning.cross_validation import RECORD, cross_validate


@pytest.fixture
def validate(tmp_path):
    data = draw_split(tmp_path / "data", {"a": 10, "b": 10}, validate=2, test=2)
    folds, _ = folds_of_lists(ListDataset(data), 2, seed=0)

    def run(*overrides, **options):
        sections = {
            "data": {"base": str(data)},
            "module": {"name": "smallnet", "weights": "none"},
            "strategy": {"name": "frozen", "views": 1},
            "train": {"engine": "paddle"},
        }
        return cross_validate(make_recipe(sections, list(overrides)), folds, tmp_path / "folds", **options)

    run.folder = tmp_path / "folds"
    return run


def test_it_continues_in_the_fold_where_it_stopped_and_records_the_result(validate):
    with pytest.raises(StoppedError):
        validate(callback=AtAdvance(12, press_ctrl_c))  # of 8 training images in each fold
    assert (validate.folder / "fold-1" / "result.json").exists()
    found = validate(resume=True)
    assert [run.path.name for run in found.runs] == ["fold-1", "fold-2"]
    assert found.count == sum(test.count for test in found.tests) == 16
    assert found.accuracy == found.right / 16
    assert found.interval == wilson_interval(found.right, 16)  # without groups, all images are independent
    document = found.as_dict()
    assert json.loads((validate.folder / RECORD).read_text())["result"] == document
    assert validate(resume=True).as_dict() == document


def test_records_of_older_versions_lack_keys_and_other_settings_are_refused(validate):
    count = validate().count
    record = json.loads((validate.folder / RECORD).read_text())
    for key in ("bits", "encoding", "labels_are"):
        del record["facts"]["data"][key]
    (validate.folder / RECORD).write_text(json.dumps(record))
    assert validate(resume=True).count == count
    with pytest.raises(UsageError, match=r"begun with other settings \(data\)"):
        validate("data.fit=stretch", resume=True)


def test_a_damaged_record_and_a_run_in_use_are_refused(validate):
    validate()
    (validate.folder / RECORD).write_text("{")
    with pytest.raises(ModelError, match=r"folds.json is damaged"):
        validate(resume=True)
    (validate.folder / RECORD).unlink()
    with open_run(validate.folder / "fold-1"), pytest.raises(UsageError, match="not a run"):
        validate()
