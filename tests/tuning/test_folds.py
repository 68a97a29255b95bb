"""Folds of a search divide the training list alone; copies and groups stay together."""

import json
import shutil
from collections import Counter

import pytest
from support.searches import search_recipe

from hubtune.errors import DataError
from hubtune.tuning.search import tune

pytest.importorskip("optuna")


def _paths(examples):
    return {str(example.path) for example in examples}


@pytest.fixture
def search(data, tmp_path):
    """Searches with three folds."""

    def run(*overrides, folder="x-tune", trials=1):
        tune(search_recipe(data, *overrides), tmp_path / folder, trials=trials, folds=3)

    return run


def test_folds_divide_the_training_list_alone(data, search, scripted):
    # Were they opened, that would fail.
    for name in ("validate_list.txt", "test_list.txt"):
        (data / name).unlink()
        (data / name).mkdir()
    (data / "label_list.txt").unlink()  # so that classes are counted in lists
    search(trials=2)
    train = {str(data / line.split()[0]) for line in (data / "train_list.txt").read_text().splitlines()}
    assert len(train) == 30
    first, second = scripted.folds[:3], scripted.folds[3:]
    assert [fold.data.examples for fold in first] == [fold.data.examples for fold in second]
    assert sum((Counter(_paths(fold.data.examples["test"])) for fold in first), Counter()) == Counter(train)
    for fold in first:
        parts = [_paths(fold.data.examples[name]) for name in ("train", "validate", "test")]
        assert set.union(*parts) == train
        assert sum(map(len, parts)) == len(train)
        assert 2 <= len(parts[1]) <= 3
        assert Counter(example.label for example in fold.data.examples["test"]) == {0: 4, 1: 4, 2: 2}
        assert fold.data.labels == ["0", "1", "2"]


def test_copies_and_groups_stay_on_one_side(data, search, scripted):
    lines = (data / "train_list.txt").read_text().splitlines()
    names = [line.split()[0] for line in lines]
    shutil.copy(data / names[0], data / "copy.png")
    (data / "train_list.txt").write_text("\n".join([*lines, "copy.png 0"]) + "\n")
    document = json.loads((data / "split.json").read_text())
    document["groups"] = [names[3:6], [names[20], names[1]]]
    (data / "split.json").write_text(json.dumps(document))
    search()
    for together in ([names[0], "copy.png"], *document["groups"]):
        paths = {str(data / name) for name in together}
        for fold in scripted.folds:
            for examples in fold.data.examples.values():
                assert len(paths & _paths(examples)) in (0, len(paths))


def test_too_few_images_for_the_folds_are_refused_and_leave_the_folder_free(data, search, scripted):
    lines = (data / "train_list.txt").read_text().splitlines()
    few = [next(line for line in lines if line.endswith(str(label))) for label in (0, 0, 1, 2)]
    (data / "few.txt").write_text("\n".join([*few, lines[1]]) + "\n")
    with pytest.raises(DataError) as error:
        search("data.train=few.txt")
    assert str(error.value) == (
        "The training list has 5 readable pictures of 3 classes, too few for 3 folds of cross-validation: "
        "add pictures, or take fewer --folds"
    )
    assert not scripted.folds
    search()


def test_bad_images_count_against_the_whole_list_and_are_in_no_fold(data, search, tmp_path, scripted):
    path = data / (data / "train_list.txt").read_text().split()[0]
    path.write_bytes(b"")
    with pytest.raises(DataError, match="1 of 30 pictures cannot be read"):
        search()
    search("data.max_bad=4%", folder="y-tune")
    lists = [examples for fold in scripted.folds for examples in fold.data.examples.values()]
    assert lists and not any(str(path) in _paths(examples) for examples in lists)
    assert str(path) in (tmp_path / "y-tune" / "skipped.csv").read_text()
