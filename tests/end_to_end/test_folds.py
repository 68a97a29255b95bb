"""``split --folds`` and ``finetune --folds``: every picture is held out once, and its group with it."""

import shutil
from pathlib import Path

import pytest
from support.commands import json_of, options

from hubtune.data.dataset import ListDataset

MODULE = options("module.name=smallnet", "module.weights=none")
TWO = ("finetune", "pics", "--folds", 2, *MODULE)


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pics = draw_photos(tmp_path / "pics", {"cat": 9, "dog": 9}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "000 copy.png")
    return pics


@pytest.fixture
def run(run_here):
    """Runs a command that succeeds."""

    def run(*arguments):
        done = run_here(*arguments)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def refused(run_here):
    def refused(*arguments, code=2):
        done = run_here(*arguments)
        assert done.returncode == code
        return done.stderr

    return refused


def listed(base, name):
    return [
        example.path.resolve().relative_to(Path.cwd()).as_posix()
        for example in ListDataset(base).examples(name)
    ]


def test_folds_hold_out_every_picture_once_and_share_the_test_list(pics, run, refused):
    run("split", "pics", "--folds", 3, "--test", 2)
    folds = [Path(f"fold-{number}") for number in (1, 2, 3)]
    tested = listed(folds[0], "test")
    held_out = [name for fold in folds for name in listed(fold, "validate")]
    assert len(tested) == 4 and len(held_out) == 15 == len(set(held_out))
    everything = sorted(path.relative_to(Path.cwd()).as_posix() for path in pics.rglob("*.png"))
    for fold in folds:
        assert listed(fold, "test") == tested
        assert sorted([*listed(fold, "train"), *listed(fold, "validate"), *tested]) == everything
        sides = {name for name in ("train", "validate", "test") if "pics/cat/000.png" in listed(fold, name)}
        assert all("pics/cat/000 copy.png" in listed(fold, name) for name in sides)
    # The same again is no conflict; fewer folds replace more only by force.
    run("split", "pics", "--folds", 3, "--test", 2)
    assert "fold-3/train_list.txt" in refused("split", "pics", "--folds", 2, "--test", 2)
    run("split", "pics", "--folds", 2, "--test", 2, "--force")
    assert not list(Path("fold-3").iterdir())


def test_a_recipe_is_measured_on_every_picture_once(pics, run):
    run("split", "pics", "--val", 2, "--test", 2)
    lines = run(*TWO).stdout.splitlines()
    assert [line.split(":")[0].strip() for line in lines[:3]] == ["fold-1", "fold-2", "All folds"]
    assert " of 15 right; 95 % interval " in lines[2]
    independent = "the interval is that of 13 independent pictures: those of one group count as one"
    assert lines[4].strip() == independent
    result = json_of(run(*TWO, "--resume", "--json"))
    assert result["count"] == 15 and len(result["folds"]) == 2
    assert result["right"] == round(15 * result["accuracy"])
    low, high = result["interval"]
    assert low < result["accuracy"] <= high
    assert result["independent"] == pytest.approx(15**2 / (13 + 4), abs=0.1)
    runs = [Path(fold["run"]) / "lists" for fold in result["folds"]]
    held_out = [name for lists in runs for name in listed(lists, "test")]
    assert len(held_out) == 15 and not {*listed(".", "test")} & {*held_out}
    assert not any({*listed(lists, "train")} & {*listed(lists, "test")} for lists in runs)


def test_the_best_model_is_not_chosen_on_what_a_fold_holds_out_and_conflicts_are_named(pics, run, refused):
    (pics / "cat" / "bad.png").touch()
    assert "cannot be read" in refused(*TWO, code=3)
    run("split", "pics", "--folds", 2)
    assert "has lists of 2 folds: take --folds 2, or make others with" in refused(*TWO, "--folds", 3)
    trained = options("strategy=scratch", "train.epochs=1")
    for number, fold in enumerate(json_of(run(*TWO, *trained, "--json"))["folds"], 1):
        lists = Path(fold["run"]) / "lists"
        assert listed(lists, "test") == listed(f"fold-{number}", "validate")
        assert listed(lists, "validate")
        train = sorted(listed(lists, "train") + listed(lists, "validate"))
        assert train == sorted(listed(f"fold-{number}", "train"))
    assert "has a cross-validation already" in refused(*TWO, *trained)
    other = refused(*TWO, *trained, "-o", "train.seed=3", "--resume")
    assert "was begun with other settings (train)" in other
    assert "is inside the pictures" in refused(*TWO, "-o", "run=pics/x")
    assert not Path("pics/x-folds").exists()
    message = "is a run: --folds takes a recipe or pictures"
    assert message in refused("finetune", "runs/pics-folds/fold-1", "--folds", 2)


def test_an_archive_is_split_and_trained_on_as_a_folder_is(pics, run):
    shutil.make_archive("photos", "zip", "pics")
    done = run("split", "photos.zip", "--val", 2)
    assert "Written to photos-lists: train_list.txt" in done.stderr
    assert done.stderr.endswith("Next: hubtune finetune photos.zip\n")
    trained = run("finetune", "photos.zip", *MODULE, "--json")
    assert "Data: photos-lists; module: smallnet" in trained.stderr
    assert json_of(trained)["run"] == "runs/photos"
    run("cache", "prune", "--data")
    again = json_of(run("finetune", "photos.zip", *MODULE, "--json"))
    assert again["skipped"] == {"train": 0, "validate": 0, "test": 0}


@pytest.mark.slow
def test_folds_in_processes_of_their_own_are_joined_to_the_same_result(pics, run, refused, monkeypatch):
    one = json_of(run(*TWO, "--json"))
    (Path("runs") / "pics-folds").rename("at-once")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    done = run(*TWO, "--fold", "auto")
    assert "Fold 2 of 2, from SLURM_ARRAY_TASK_ID" in done.stderr
    assert done.stdout.startswith("fold-2:")
    assert "has a cross-validation already: continue it" in refused(*TWO)
    assert "with other settings (train)" in refused(*TWO, "--fold", 1, *options("train.batch_size=3"))
    own = json_of(run(*TWO, "--fold", 1, "--json"))
    assert json_of(run(*TWO, "--fold", 1, "--json")) == own  # what is finished is not trained again
    joined = json_of(run(*TWO, "--json"))
    assert joined == one
    assert "has a cross-validation already" in refused(*TWO)


def test_what_is_not_a_fold_is_refused(pics, refused, monkeypatch):
    assert "write a number from 1 to 2, or auto" in refused(*TWO, "--fold", 0)
    assert "write a number from 1 to 2, or auto" in refused(*TWO, "--fold", 3)
    assert "--fold goes with --folds K" in refused("finetune", "pics", "--fold", 1)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    assert "the index 2, which is not one of 2 tasks" in refused(*TWO, "--fold", "auto")
