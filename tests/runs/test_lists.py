"""A model's list is that of its run, or the one that is named."""

import pytest
from support.images import draw_tree
from support.split_folder import draw_split

from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, UsageError
from hubtune.recipe.load import dump_recipe, make_recipe
from hubtune.runs.lists import count_shared, dataset_of, describe_trained, find_list, open_list


@pytest.fixture
def run(tmp_path):
    """Returns the folder of a run of the lists that are named."""
    data = draw_split(tmp_path / "data", {"a": 6, "b": 6}, validate=1, test=1)
    lists = {name: f"{name}_list.txt" for name in ("train", "validate", "test")} | {
        "labels": "label_list.txt"
    }

    def make(*names):
        section = {"base": str(data), **{name: lists[name] for name in (*names, "labels")}}
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        recipe = make_recipe({"data": section, "module": "smallnet"})
        (folder / "recipe.yaml").write_text(dump_recipe(recipe))
        return folder

    make.data = data
    return make


def test_by_default_it_is_the_test_list_else_validation(run):
    dataset, name = find_list(run("train", "validate", "test"), None, ["a", "b"])
    assert (name, len(dataset.examples(name))) == ("test", 2)
    assert find_list(run("train", "validate"), None, ["a", "b"])[1] == "validate"
    assert find_list(run("train", "validate"), "train", ["a", "b"])[1] == "train"
    with pytest.raises(DataError, match="has no test and no validation list"):
        find_list(run("train"), None, ["a", "b"])
    with pytest.raises(DataError, match="has no test list"):
        find_list(run("train"), "test", ["a", "b"])


def test_a_list_file_or_a_folder_is_taken_where_it_is_named(run, tmp_path):
    folder = run("train")
    dataset, name = find_list(folder, str(run.data / "validate_list.txt"), ["a", "b"])
    assert (name, dataset.label_list, len(dataset.examples(name))) == ("test", ["a", "b"], 2)
    draw_tree(tmp_path / "new", {"a": 1, "b": 2})
    dataset, name = find_list(folder, str(tmp_path / "new"), ["a", "b"])
    assert len(dataset.examples(name)) == 3
    with pytest.raises(UsageError, match="no such list file or folder"):
        find_list(folder, "gone", ["a", "b"])
    with pytest.raises(UsageError, match="a model without lists"):
        find_list(tmp_path, None, ["a", "b"])


def test_names_beside_a_list_count_unless_the_numbers_are_the_models(run):
    (run.data / "label_list.txt").write_text("x\ny\n")
    file = str(run.data / "test_list.txt")
    assert open_list(file, ["a", "b"]).label_list == ["x", "y"]
    assert open_list(file, ["a", "b"], names_beside=False).label_list == ["a", "b"]


def test_what_is_said_about_lists_overrides_the_recipe(run):
    settings = SourceSettings(encoding="gbk", labels_are="numbers")
    assert settings.as_overrides() == ["data.encoding=gbk", "data.labels_are=numbers"]
    (run.data / "label_list.txt").write_bytes("猫\n狗\n".encode("gbk"))
    dataset, _ = find_list(run("train", "test"), None, ["猫", "狗"], settings)
    assert dataset.label_list == ["猫", "狗"]


def test_a_recipes_data_set_finds_lists_that_a_complete_one_has_to_name(run):
    recipe = make_recipe({"data": {"base": str(run.data), "train": "train_list.txt"}, "module": "smallnet"})
    assert dataset_of(recipe, complete=False).list_files["test"] is not None
    assert dataset_of(recipe, complete=True).list_files["test"] is None


def test_images_that_a_run_was_trained_on_are_counted_in_other_lists(run):
    folder = run("train", "validate", "test")
    other, _ = find_list(folder, str(run.data / "pics"), ["a", "b"])
    assert describe_trained(folder, other) == (
        f"8 of these 12 pictures are in the training list of {folder}: on new pictures, the accuracy is lower"
    )
    own, _ = find_list(folder, None, ["a", "b"])
    validation, _ = find_list(folder, str(run.data / "validate_list.txt"), ["a", "b"])
    assert describe_trained(folder, own) is None
    assert describe_trained(folder, validation) is None
    assert count_shared(folder, validation, "validate") == 2
    assert describe_trained(folder / "best_model", other) is None
    (run.data / "train_list.txt").unlink()
    assert describe_trained(folder, other) is None
