"""Folds of a search divide the training list alone; copies and groups stay together."""

import json
import shutil
from collections import Counter

import pytest
from support.multi_label import draw_label_lists
from support.searches import search_recipe

from hubtune.errors import DataError
from hubtune.tuning.search import tune

pytest.importorskip("optuna")


@pytest.fixture
def search(data, tmp_path):
    """Searches with three folds."""

    def run(*overrides, folder="x-tune", trials=1):
        tune(search_recipe(data, *overrides), tmp_path / folder, trials=trials, folds=3)

    return run


@pytest.fixture
def names(data):
    """The images of the training list."""
    return [line.split()[0] for line in (data / "train_list.txt").read_text().splitlines()]


def _paths(examples):
    return {str(example.path) for example in examples}


def test_folds_divide_the_training_list_alone(data, names, search, scripted):
    # Were they opened, that would fail.
    for name in ("validate_list.txt", "test_list.txt"):
        (data / name).unlink()
        (data / name).mkdir()
    (data / "label_list.txt").unlink()  # so that classes are counted in lists
    search(trials=2)
    train = {str(data / name) for name in names}
    first, second = ([fold.data.examples for fold in scripted.folds[start:][:3]] for start in (0, 3))
    assert first == second
    assert sum((Counter(_paths(lists["test"])) for lists in first), Counter()) == Counter(train)
    for lists in first:
        parts = [_paths(lists[name]) for name in ("train", "validate", "test")]
        assert set.union(*parts) == train
        assert sum(map(len, parts)) == len(train) == 30
        assert 2 <= len(parts[1]) <= 3
        assert Counter(example.label for example in lists["test"]) == {0: 4, 1: 4, 2: 2}
    assert scripted.folds[0].data.labels == ["0", "1", "2"]


def test_copies_and_groups_stay_on_one_side(data, names, search, scripted):
    shutil.copy(data / names[0], data / "copy.png")
    with (data / "train_list.txt").open("a") as file:
        file.write("copy.png 0\n")
    document = json.loads((data / "split.json").read_text())
    document["groups"] = [names[3:6], [names[20], names[1]]]
    (data / "split.json").write_text(json.dumps(document))
    search()
    for together in ([names[0], "copy.png"], *document["groups"]):
        paths = {str(data / name) for name in together}
        for fold in scripted.folds:
            for examples in fold.data.examples.values():
                assert len(paths & _paths(examples)) in (0, len(paths))


def test_too_few_images_are_refused_and_bad_ones_are_in_no_fold(data, names, search, tmp_path, scripted):
    (data / "few.txt").write_text("".join(f"{names[place]} {place // 12}\n" for place in (0, 1, 2, 12, 24)))
    with pytest.raises(DataError) as error:
        search("data.train=few.txt")
    assert str(error.value) == (
        "The training list has 5 readable pictures of 3 classes, too few for 3 folds of cross-validation: "
        "add pictures, or take fewer --folds"
    )
    path = data / names[0]
    path.write_bytes(b"")
    with pytest.raises(DataError, match="1 of 30 pictures cannot be read"):
        search()
    search("data.max_bad=4%")  # the folder is free
    lists = [examples for fold in scripted.folds for examples in fold.data.examples.values()]
    assert lists and not any(str(path) in _paths(examples) for examples in lists)
    assert str(path) in (tmp_path / "x-tune" / "skipped.csv").read_text()


@pytest.mark.slow
def test_multi_label_lists_are_searched_on_all_pictures(tmp_path):
    data = draw_label_lists(tmp_path / "labels", 60)
    result = tune(search_recipe(data, "train.epochs=1"), tmp_path / "tune", trials=1, folds=3)
    [trial] = result.trials
    assert sum(trial.counts) == 36  # of sets that occur once, too
