"""``hubtune runs``: a line a run."""

import json

from support.commands import json_of

from hubtune.recipe.load import dump_recipe, make_recipe


def _write_run(folder, result):
    folder.mkdir(parents=True)
    recipe = make_recipe({"data": {"base": str(folder), "train": "gone.txt"}, "module": "smallnet"})
    (folder / "recipe.yaml").write_text(dump_recipe(recipe))
    (folder / "manifest.json").write_text(
        json.dumps({"started": "2026-01-02T03:04:05+00:00", "seconds": 6.2})
    )
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))


def test_each_run_has_a_line_and_damage_is_named(here, run_here):
    figures = {"accuracy": 0.8833, "loss": 0.3, "count": 120, "interval": [0.814, 0.929], "unreadable": 0}
    result = {"best_step": 3, "validate": None, "test": figures, "images": {"train": 1200}}
    _write_run(here / "runs" / "done\x1b", result)
    _write_run(here / "runs" / "stopped", None)
    _write_run(here / "runs" / "broken", {})
    done = run_here("runs", "--sort", "accuracy")
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and lines[2].startswith("done\\x1b  2026-01-02 03:04  smallnet  ")
    assert "88.3 % (81–93)" in lines[2] and lines[2].endswith("6 seconds") and "1,200" in lines[2]
    assert "damaged" in lines[3] and "not finished" in lines[4]
    assert done.stderr == "runs/broken: result.json cannot be read\n"
    document = json_of(run_here("runs", "--json", "--sort", "accuracy"))
    assert [run["path"] for run in document["runs"]] == ["runs/done\x1b", "runs/broken", "runs/stopped"]
    assert document["runs"][0]["test"] == figures
    assert run_here("runs", "runs/stopped").stdout.splitlines()[2].startswith("stopped")


def test_no_runs_and_no_folder_are_said(here, run_here, assert_refused):
    assert_refused(("runs", 2, "There is no folder runs"), ("runs gone", 2, "There is no folder gone"))
    (here / "runs").mkdir()
    done = run_here("runs")
    assert (done.returncode, done.stdout) == (0, "") and "There is no run in runs" in done.stderr
    assert json_of(run_here("runs", "--json"))["runs"] == []
