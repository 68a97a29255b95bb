"""Runs, models, recipes, lists and caches of an earlier version are read as that version meant them."""

import json
import shutil
from pathlib import Path

import pytest
from support.drawn_images import draw_odd
from support.recorded import EXPECTED, FIXTURES, assert_close

import hubtune

RUNS = ("frozen", "rules", "last_stage")


@pytest.mark.parametrize("name", RUNS)
def test_runs_predict_and_are_evaluated_as_recorded_and_not_trained_again(name, place, answer):
    expected, log = EXPECTED[name], place / "runs" / name / "metrics.jsonl"
    rows = answer("predict", "data/pics", "--model", f"runs/{name}", "--scores", "--trust-code")
    assert_close(rows, expected["predict"], tolerance=1e-5)
    figures = answer("evaluate", f"runs/{name}", "--on", "test", "--trust-code")
    assert_close(figures, expected["evaluate"], tolerance=1e-5)
    page = answer("report", f"runs/{name}", "--trust-code")["page"]
    assert f"{figures['count']} test pictures" in Path(page).read_text("utf-8")
    before = log.read_bytes()
    result = answer("finetune", f"runs/{name}", "--resume", "--trust-code")
    assert_close(result, expected["finetune"], tolerance=1e-9)
    assert log.read_bytes() == before


def test_a_model_folder_predicts_as_recorded_and_its_code_needs_permission(place):
    with pytest.raises(hubtune.ModelError):
        hubtune.load_model("model")
    recorded = EXPECTED["grey"]["predict"]["rows"]
    model = hubtune.load_model("model", trust_code=True)
    rows = list(model.predict([row["path"] for row in recorded]))
    assert [row.label for row in rows] == [row["label"] for row in recorded]
    for row, expected in zip(rows, recorded, strict=True):
        assert_close(row.scores, expected["scores"], tolerance=1e-5)


def test_an_interrupted_run_goes_on_to_the_recorded_end_and_not_with_other_lists(place, answer, run_here):
    expected, file = EXPECTED["interrupted"], place / "data" / "train_list.txt"
    lists = file.read_text()
    file.write_text(lists.replace("ant/000.png", "ant/011.png"))
    done = run_here("finetune", "runs/interrupted", "--resume", "--trust-code")
    assert done.returncode == hubtune.ModelError.exit_code and "lists" in done.stderr
    file.write_text(lists)
    result = answer("finetune", "runs/interrupted", "--resume", "--trust-code")
    assert_close(result, expected["finetune"], tolerance=1e-3)
    lines = (place / "runs" / "interrupted" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert_close(found, expected["metrics"], tolerance=1e-3, skip=("seconds", "time"))
    rows = answer("predict", "data/pics", "--model", "runs/interrupted", "--scores", "--trust-code")
    assert_close(rows, expected["predict"], tolerance=1e-3)


def test_an_unfinished_run_of_frozen_or_last_stage_goes_on_with_the_head_that_it_began_with(place, answer):
    for name in ("frozen", "last_stage"):
        run = place / "runs" / name
        for file in ("result.json", "best_model") if name == "frozen" else ("result.json",):
            path = run / file
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        result = answer("finetune", f"runs/{name}", "--resume", "--trust-code")
        assert_close(result, EXPECTED[name]["finetune"], tolerance=1e-3)
        card = json.loads((run / "best_model" / "model.json").read_bytes())
        assert "taps" not in card
        assert card["schema_version"] == 3  # with features of training images


@pytest.mark.parametrize("name", sorted(EXPECTED["recipes"]))
def test_recipes_and_those_of_their_runs_come_to_the_recorded_settings(name):
    def read(file):
        return json.loads(hubtune.load_recipe(file).model_dump_json(by_alias=True))

    expected = EXPECTED["recipes"][name]
    expected["strategy"].pop("budget", None)  # its default was 60 when it had an effect
    assert_close(read(FIXTURES / "recipes" / f"{name}.yaml"), expected, tolerance=0.0)
    if name in (*RUNS, "interrupted"):
        found = read(FIXTURES / "runs" / name / "recipe.yaml")
        for section in ("strategy", "train", "module"):
            assert_close(found[section], expected[section], tolerance=0.0, skip=("learning_rate",))


def test_recorded_caches_change_no_result(place, monkeypatch, answer):
    draw_odd(place / "odd")
    shutil.copytree(FIXTURES / "home", place / "home")
    monkeypatch.setenv("HUBTUNE_HOME", str(place / "home"))
    logistic = ("-o", "strategy.head=logistic")
    result = answer("finetune", "recipes/frozen.yaml", "-o", "run=runs/again", *logistic)
    assert_close(result, EXPECTED["frozen"]["finetune"], tolerance=1e-4, skip=("run", "best_model"))
    words = ("title", "advice", "note", "reason", "unreadable")
    assert_close(answer("scan", "odd"), EXPECTED["scan"], tolerance=1e-6, skip=words)
    answer("cache", "ls")
    answer("cache", "verify")
