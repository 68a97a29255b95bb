"""``hubtune tune``: the table that it prints, the lists that it makes, and how it stops."""

import signal

import pytest
from support.commands import json_of
from support.searches import draw_search_data, script_training

from hubtune.recipe.load import load_recipe
from hubtune.tuning.search_result import BEST

pytest.importorskip("optuna")


@pytest.fixture
def scripted(monkeypatch):
    return script_training(monkeypatch)


@pytest.fixture
def recipe(here):
    """The recipe ``x.yaml`` in the working folder."""
    train = "train: {epochs: 1, batch_size: 16, learning_rate: 1.0e-3}"
    data = draw_search_data(here / "data")
    (here / "x.yaml").write_text(f"data: {{base: '{data}'}}\nmodule: digitnet\n{train}\n")


@pytest.fixture
def tune(run_here):
    return lambda *arguments: run_here("tune", *arguments, "--folds", 2)


def test_the_command_prints_a_table_and_what_to_do_next(recipe, tune, scripted, assert_refused):
    done = tune("x.yaml", "--trials", 4)
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
    document = json_of(tune("x.yaml", "--trials", 4, "--resume", "--json"))
    assert (document["best_recipe"], document["stopped"]) == ("runs/x-tune/best.yaml", False)
    assert [trial["rank"] for trial in document["trials"]] == [1, 2, 3, 4]
    [own] = [trial for trial in document["trials"] if trial["recipe"]]
    assert (own["number"], own["count"], own["folds"]) == (1, 30, 2)
    assert (own["strategy"], own["learning_rate"], own["augment"]) == ("default_finetune", 0.001, "none")
    assert own["accuracy"] == own["right"] / own["count"]
    assert_refused(
        ("tune x.yaml", 2, "continue it with --resume"),
        *(
            (f"tune x.yaml --timeout={text}", 2, f"'{text}' is no time such as 90s, 30m or 2h")
            for text in ("30", "0s", "m", "1d", "-5m", "1e3s")
        ),
    )


def test_pictures_are_searched_on_lists_of_their_own(recipe, here, tune, scripted, assert_refused):
    (here / "data" / "pics").rename(here / "photos")
    arguments = ("photos", "-o", "module=digitnet", "-o", "train.epochs=1")
    done = tune(*arguments, "--trials", 2)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "photos is a folder per class; 3 classes: a, b, c"
    assert lines[1].startswith("No lists for photos yet: ")
    assert "Data: runs/photos-tune/lists; module: digitnet; strategy: frozen" in lines
    assert "Not used by" not in done.stderr  # other strategies may use it
    best = load_recipe(here / "runs" / "photos-tune" / BEST)
    assert (best.data.base, best.train.epochs) == ("runs/photos-tune/lists", 1)
    more = tune(*arguments, "--trials", 3, "--resume")
    assert more.returncode == 0, more.stderr
    assert "No lists" not in more.stderr
    (here / "r").mkdir()
    (here / "r" / "recipe.yaml").write_text("module: digitnet\n")
    assert_refused(("tune r", 2, "Error: r is a run: name its recipe, r/recipe.yaml\n"))


def test_a_recipe_that_is_the_best_itself_is_told_so(recipe, tune, scripted):
    done = tune("x.yaml", "-o", "strategy=frozen", "--strategies", "frozen")
    assert done.returncode == 0, done.stderr
    assert "      which is the recipe as it is: no other settings were better" in done.stdout.splitlines()
    assert "nothing is left to try" in done.stderr


def test_ctrl_c_shows_what_there_is_and_exits_130(recipe, tune, scripted):
    scripted.before = lambda number: number == 3 and signal.raise_signal(signal.SIGINT)
    done = tune("x.yaml")
    assert done.returncode == 130
    assert done.stdout.splitlines()[3].split()[-1] == "unfinished"
    assert done.stderr.splitlines()[-1] == "Stopped. Continue with the same command and --resume"


@pytest.mark.slow
def test_every_strategy_is_tried_and_the_best_recipe_runs(recipe, here, tune, run_here):
    trials = json_of(tune("x.yaml", "--trials", 7, "--json"))["trials"]
    assert sorted(trial["strategy"] for trial in trials) == sorted(
        ["frozen", "from_frozen", "default_finetune", "last_stage", "l2sp", "ulmfit", "adam_weight_decay"]
    )
    assert {trial["state"] for trial in trials} <= {"done", "pruned"}
    assert not (here / "runs" / "latest").exists()  # folds are no runs of a person's
    document = json_of(run_here("finetune", "runs/x-tune/best.yaml", "--json"))
    assert document["run"] == "runs/x"
    assert document["test"]["accuracy"] > 0.8  # the classes differ in colour
