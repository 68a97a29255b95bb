"""``split --folds`` and ``finetune --folds``: every picture is held out once, and its group with it."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from hubtune.data.dataset import ListDataset

MODULE = ("-o", "module.name=smallnet", "-o", "module.weights=none")


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pics = draw_photos(tmp_path / "pics", {"cat": 9, "dog": 9}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "000 copy.png")
    return pics


def listed(base, name):
    return [
        example.path.resolve().relative_to(Path.cwd()).as_posix()
        for example in ListDataset(base).examples(name)
    ]


def test_folds_hold_out_every_picture_once_and_share_the_test_list(pics, run_here):
    assert run_here("split", "pics", "--folds", 3, "--test", 2).returncode == 0
    folds = [Path(f"fold-{number}") for number in (1, 2, 3)]
    tested = listed(folds[0], "test")
    held_out = [name for fold in folds for name in listed(fold, "validate")]
    assert len(tested) == 4 and len(held_out) == 15 == len(set(held_out))
    for fold in folds:
        assert listed(fold, "test") == tested
        assert sorted([*listed(fold, "train"), *listed(fold, "validate"), *tested]) == sorted(
            path.relative_to(Path.cwd()).as_posix() for path in pics.rglob("*.png")
        )
        sides = {name for name in ("train", "validate", "test") if "pics/cat/000.png" in listed(fold, name)}
        assert all("pics/cat/000 copy.png" in listed(fold, name) for name in sides)
    # The same again is no conflict; fewer folds replace more only by force.
    assert run_here("split", "pics", "--folds", 3, "--test", 2).returncode == 0
    refused = run_here("split", "pics", "--folds", 2, "--test", 2)
    assert refused.returncode == 2 and "fold-3/train_list.txt" in refused.stderr
    assert run_here("split", "pics", "--folds", 2, "--test", 2, "--force").returncode == 0
    assert not list(Path("fold-3").iterdir())


def test_a_recipe_is_measured_on_every_picture_once(pics, run_here):
    assert run_here("split", "pics", "--val", 2, "--test", 2).returncode == 0
    done = run_here("finetune", "pics", "--folds", 2, *MODULE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0].strip() for line in lines[:3]] == ["fold-1", "fold-2", "All folds"]
    assert " of 15 right; 95 % interval " in lines[2]
    assert lines[4].strip() == (
        "the interval is that of 13 independent pictures: those of one group count as one"
    )
    result = json.loads(run_here("finetune", "pics", "--folds", 2, "--resume", "--json", *MODULE).stdout)
    assert result["count"] == 15 and len(result["folds"]) == 2
    assert result["right"] == round(15 * result["accuracy"])
    low, high = result["interval"]
    assert low < result["accuracy"] <= high
    assert result["independent"] == pytest.approx(15**2 / (13 + 4), abs=0.1)
    tested = {*listed(".", "test")}
    runs = [Path(fold["run"]) / "lists" for fold in result["folds"]]
    held_out = [name for run in runs for name in listed(run, "test")]
    assert len(held_out) == 15 and not tested & {*held_out}
    for run in runs:
        assert not {*listed(run, "train")} & {*listed(run, "test")}


def test_the_best_model_is_not_chosen_on_what_a_fold_holds_out(pics, run_here):
    assert run_here("split", "pics", "--folds", 2).returncode == 0
    strategy = ("-o", "strategy=scratch", "-o", "train.epochs=1")
    done = run_here("finetune", "pics", "--folds", 2, *MODULE, *strategy, "--json")
    assert done.returncode == 0, done.stderr
    for number, fold in enumerate(json.loads(done.stdout)["folds"], 1):
        lists = Path(fold["run"]) / "lists"
        assert listed(lists, "test") == listed(f"fold-{number}", "validate")
        assert listed(lists, "validate")
        assert sorted(listed(lists, "train") + listed(lists, "validate")) == sorted(
            listed(f"fold-{number}", "train")
        )


def test_conflicts_of_folds_are_named_and_a_failed_start_is_none(pics, run_here):
    def refused(*arguments):
        done = run_here("finetune", *arguments)
        assert done.returncode == 2
        return done.stderr

    (pics / "cat" / "bad.png").touch()
    stopped = run_here("finetune", "pics", "--folds", 2, *MODULE)
    assert stopped.returncode == 3 and "cannot be read" in stopped.stderr
    assert run_here("split", "pics", "--folds", 2).returncode == 0
    two = ("pics", "--folds", 2, *MODULE)
    assert "has lists of 2 folds: take --folds 2, or make others with" in refused(
        "pics", "--folds", 3, *MODULE
    )
    done = run_here("finetune", *two)
    assert done.returncode == 0, done.stderr
    assert "has a cross-validation already" in refused(*two)
    other = refused(*two, "-o", "train.seed=3", "--resume")
    assert "was begun with other settings (train)" in other
    assert "is inside the pictures" in refused(*two, "-o", "run=pics/x")
    assert not Path("pics/x-folds").exists()
    run = refused("runs/pics-folds/fold-1", "--folds", 2)
    assert "is a run: --folds takes a recipe or pictures" in run


def test_an_archive_is_split_and_trained_on_as_a_folder_is(pics, run_here):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(pics.rglob("*.png")):
            archive.write(path, path.relative_to(pics))
    done = run_here("split", "photos.zip", "--val", 2)
    assert done.returncode == 0, done.stderr
    assert "Written to photos-lists: train_list.txt" in done.stderr
    assert done.stderr.endswith("Next: hubtune finetune photos.zip\n")
    run = run_here("finetune", "photos.zip", *MODULE, "--json")
    assert run.returncode == 0, run.stderr
    assert "Data: photos-lists; module: smallnet" in run.stderr
    assert json.loads(run.stdout)["run"] == "runs/photos"
    assert run_here("cache", "prune", "--data").returncode == 0
    again = run_here("finetune", "photos.zip", *MODULE, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["skipped"] == {"train": 0, "validate": 0, "test": 0}
