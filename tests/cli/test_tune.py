"""``hubtune tune``: the table that it prints, the lists that it makes, and how it stops."""

import signal

import pytest
from support.commands import json_of
from support.searches import draw_search_data, script_training

from hubtune.recipe.load import load_recipe
from hubtune.tuning.search_result import BEST

pytest.importorskip("optuna")


@pytest.fixture
def data(tmp_path):
    return draw_search_data(tmp_path / "data")


@pytest.fixture
def scripted(monkeypatch):
    return script_training(monkeypatch)


@pytest.fixture
def recipe_file(data, tmp_path):
    train = "train: {epochs: 1, batch_size: 16, learning_rate: 1.0e-3}"
    (tmp_path / "x.yaml").write_text(f"data: {{base: '{data}'}}\nmodule: digitnet\n{train}\n")
    return tmp_path / "x.yaml"


def test_the_command_prints_a_table_and_what_to_do_next(recipe_file, tmp_path, run_here, scripted):
    done = run_here("tune", recipe_file, "--trials", 4, "--folds", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "seconds", "strategy", "rate", "augment"]
    rows = [line.split() for line in lines[2:6]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    own = next(row for row in rows if row[-2:] == ["the", "recipe"])
    assert own[6:9] == ["default_finetune", "0.001", "none"]
    best = lines.index("Next: hubtune finetune runs/x-tune/best.yaml") - 3
    assert lines[best].startswith("Best: ")
    assert "points ahead of the recipe as it is, with a standard error of up to" in lines[best + 1]
    assert lines[best + 2].endswith("Measure it on a test list, which was not used:")
    refused = run_here("tune", recipe_file, cwd=tmp_path)
    assert refused.returncode == 2
    assert "continue it with --resume" in refused.stderr
    document = json_of(run_here("tune", recipe_file, "--trials", 4, "--folds", 2, "--resume", "--json"))
    assert document["best_recipe"] == "runs/x-tune/best.yaml"
    assert not document["stopped"]
    assert [trial["rank"] for trial in document["trials"]] == [1, 2, 3, 4]
    [own] = [trial for trial in document["trials"] if trial["recipe"]]
    assert own["number"] == 1
    assert (own["strategy"], own["learning_rate"], own["augment"]) == ("default_finetune", 0.001, "none")
    assert own["accuracy"] == own["right"] / own["count"]
    assert (own["count"], own["folds"]) == (30, 2)


def test_pictures_are_searched_on_lists_of_their_own(data, tmp_path, run_here, scripted):
    (data / "pics").rename(tmp_path / "photos")
    arguments = ("tune", "photos", "--folds", 2, "-o", "module=digitnet", "-o", "train.epochs=1")
    done = run_here(*arguments, "--trials", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0].startswith("No lists for photos yet: ")
    assert "Data: runs/photos-tune/lists; module: digitnet; strategy: frozen" in said
    assert "Not used by" not in done.stderr  # other strategies may use it
    best = load_recipe(tmp_path / "runs" / "photos-tune" / BEST)
    assert (best.data.base, best.train.epochs) == ("runs/photos-tune/lists", 1)
    more = run_here(*arguments, "--trials", 3, "--resume", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "No lists" not in more.stderr


def test_a_run_is_no_source_of_pictures(tmp_path, run_here):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "recipe.yaml").write_text("module: digitnet\n")
    refused = run_here("tune", "r", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "Error: r is a run: name its recipe, r/recipe.yaml\n"


def test_a_recipe_that_is_the_best_itself_is_told_so(recipe_file, tmp_path, run_here, scripted):
    done = run_here("tune", recipe_file, "-o", "strategy=frozen", "--strategies", "frozen", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "      which is the recipe as it is: no other settings were better" in done.stdout.splitlines()
    assert "nothing is left to try" in done.stderr


def test_ctrl_c_shows_what_there_is_and_exits_130(recipe_file, tmp_path, run_here, scripted):
    scripted.before = lambda number: number == 3 and signal.raise_signal(signal.SIGINT)
    done = run_here("tune", recipe_file, "--folds", 2, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stdout.splitlines()[3].split()[-1] == "unfinished"
    assert done.stderr.splitlines()[-1] == "Stopped. Continue with the same command and --resume"


@pytest.mark.parametrize("text", ["30", "0s", "m", "1d", "-5m", "1e3s"])
def test_a_time_without_meaning_is_refused(recipe_file, run_here, text):
    done = run_here("tune", recipe_file, "--timeout", text)
    assert done.returncode == 2
    assert f"'{text}' is no time such as 90s, 30m or 2h" in done.stderr


@pytest.mark.slow
def test_every_strategy_is_tried_and_the_best_recipe_runs(recipe_file, tmp_path, run_here):
    trials = json_of(run_here("tune", recipe_file, "--folds", 2, "--trials", 7, "--json", cwd=tmp_path))[
        "trials"
    ]
    assert sorted(trial["strategy"] for trial in trials) == sorted(
        ["frozen", "from_frozen", "default_finetune", "last_stage", "l2sp", "ulmfit", "adam_weight_decay"]
    )
    assert {trial["state"] for trial in trials} <= {"done", "pruned"}
    assert not (tmp_path / "runs" / "latest").exists()  # folds are no runs of a person's
    document = json_of(run_here("finetune", "runs/x-tune/best.yaml", "--json"))
    assert document["run"] == "runs/x"
    assert document["test"]["accuracy"] > 0.8  # the classes differ in colour
