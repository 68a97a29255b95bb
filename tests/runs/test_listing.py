"""Runs are listed whatever state their files are in."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubtune.recipe.load import dump_recipe, make_recipe
from hubtune.runs.listing import list_runs, summarise_run

FIGURES = {"accuracy": 0.75, "loss": 0.5, "count": 4, "interval": [0.3, 0.95], "unreadable": 0}


@pytest.fixture
def make_run(tmp_path):
    """Writes the files of a run that began on a day of January."""
    (tmp_path / "train_list.txt").write_text("a.jpg 0\nb.jpg 1\n\n")

    def make(name, day=1, *, result=None, module="smallnet", **more):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        data = {"base": str(tmp_path), "train": "train_list.txt"}
        recipe = make_recipe({"data": data, "module": module, "strategy": "scratch"})
        (folder / "recipe.yaml").write_text(dump_recipe(recipe))
        started = datetime(2026, 1, day, tzinfo=UTC).isoformat()
        (folder / "manifest.json").write_text(json.dumps({"started": started, "machine": {}, **more}))
        if result is not None:
            text = json.dumps({"best_step": 1, "validate": None, "test": None, **result})
            (folder / "result.json").write_text(text)
        return folder

    make.folder = tmp_path / "runs"
    return make


def test_a_finished_run_has_its_figures(make_run):
    result = {"test": {**FIGURES, "of_a_newer_version": 1}, "images": {"train": 30}}
    found = summarise_run(make_run("x", result=result, seconds=12.5))
    assert (found.module, found.strategy, found.images, found.seconds) == ("smallnet", "scratch", 30, 12.5)
    assert (found.accuracy, found.test.interval, found.validate) == (0.75, (0.3, 0.95), None)
    assert found.finished and found.problem is None
    document = found.as_dict()
    assert document["test"] == FIGURES
    json.dumps(document, allow_nan=False)


def test_a_run_of_an_older_version_has_the_time_of_its_files_and_the_length_of_its_list(make_run):
    folder = make_run("old", day=2, result={"validate": FIGURES})
    end = datetime(2026, 1, 2, 0, 1, tzinfo=UTC).timestamp()
    os.utime(folder / "result.json", (end, end))
    found = summarise_run(folder)
    assert (found.seconds, found.images, found.accuracy) == (60, 2, 0.75)


def test_an_unfinished_run_has_no_time(make_run):
    found = summarise_run(make_run("x"))
    assert (found.seconds, found.accuracy, found.finished, found.images) == (None, None, False, 2)
    assert found.problem is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"test": 1}', '{"best_step": 1, "validate": null, "test": {"accuracy": 1}}'],
    ids=["empty", "list", "short", "no interval"],
)
def test_a_damaged_result_is_named(make_run, content):
    folder = make_run("x")
    (folder / "result.json").write_text(content)
    assert summarise_run(folder).problem == "result.json cannot be read"


def test_a_figure_that_is_not_a_number_is_damage(make_run):
    for test in (
        {**FIGURES, "accuracy": float("nan")},
        {**FIGURES, "interval": "x"},
        {**FIGURES, "count": []},
    ):
        found = summarise_run(make_run(f"run-{len(str(test))}", result={"test": test}))
        assert found.problem and found.test is None


def test_what_can_be_read_of_a_damaged_run_is_listed(make_run):
    folder = make_run("x", result={"test": FIGURES})
    (folder / "recipe.yaml").write_text("module: [")
    found = summarise_run(folder)
    assert (found.module, found.accuracy, found.problem) == (None, 0.75, "recipe.yaml cannot be read")
    folder = make_run("y", result={"test": FIGURES})
    (folder / "manifest.json").unlink()
    found = summarise_run(folder)
    assert (found.module, found.started, found.problem) == ("smallnet", None, "manifest.json cannot be read")


def test_folders_of_others_are_no_runs(make_run):
    make_run("x")
    (make_run.folder / "foreign").mkdir()
    (make_run.folder / "foreign" / "recipe.yaml").write_text("bread: {flour: 500}")
    (make_run.folder / "file").touch()
    (make_run.folder / "gone").symlink_to("nowhere")
    assert [run.path.name for run in list_runs(make_run.folder)] == ["x"]
    assert list_runs(make_run.folder / "foreign") == []


def test_runs_are_found_two_levels_deep_and_not_inside_runs(make_run):
    for name in ("x", "x/inner", "folds/fold-1", "folds/deep/fold-2"):
        make_run(name)
    assert {run.path.name for run in list_runs(make_run.folder)} == {"x", "fold-1"}
    assert [run.path.name for run in list_runs(make_run.folder / "x")] == ["x"]


def test_the_newest_is_first_and_other_orders_have_unknown_values_last(make_run):
    make_run("b", 1, result={"test": {**FIGURES, "accuracy": 0.5}}, seconds=5)
    make_run("a", 3, result={"test": FIGURES}, seconds=9)
    make_run("c", 2)
    orders = {
        sort: [run.path.name for run in list_runs(make_run.folder, sort=sort)]
        for sort in ("started", "accuracy", "seconds", "path")
    }
    assert orders["started"] == ["a", "c", "b"]
    assert orders["accuracy"] == ["a", "b", "c"]
    assert orders["seconds"] == ["b", "a", "c"]
    assert orders["path"] == ["a", "b", "c"]


def test_a_folder_that_may_not_be_read_hides_no_other_one(make_run, monkeypatch):
    for name in ("a", "b", "c"):
        make_run(name)
    (make_run.folder / "locked").mkdir()
    (make_run.folder / "locked too").mkdir()
    is_file = Path.is_file

    def refuse(path):
        if path.parent.name.startswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert [run.path.name for run in list_runs(make_run.folder, sort="path")] == ["a", "b", "c"]
