"""Runs, models, recipes, lists and caches of an earlier version are read as that version meant them."""

import json
import shutil

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


def test_an_interrupted_run_goes_on_to_the_recorded_end(place, answer):
    expected = EXPECTED["interrupted"]
    result = answer("finetune", "runs/interrupted", "--resume", "--trust-code")
    assert_close(result, expected["finetune"], tolerance=1e-3)
    lines = (place / "runs" / "interrupted" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert_close(found, expected["metrics"], tolerance=1e-3, skip=("seconds", "time"))
    rows = answer("predict", "data/pics", "--model", "runs/interrupted", "--scores", "--trust-code")
    assert_close(rows, expected["predict"], tolerance=1e-3)


def test_a_run_is_not_resumed_with_other_lists(place, run_here):
    file = place / "data" / "train_list.txt"
    file.write_text(file.read_text().replace("ant/000.png", "ant/011.png"))
    done = run_here("finetune", "runs/interrupted", "--resume", "--trust-code")
    assert done.returncode == hubtune.ModelError.exit_code
    assert "lists" in done.stderr


@pytest.mark.parametrize("name", sorted(EXPECTED["recipes"]))
def test_recipes_and_those_of_their_runs_come_to_the_recorded_settings(name):
    def read(file):
        return json.loads(hubtune.load_recipe(file).model_dump_json(by_alias=True))

    expected = EXPECTED["recipes"][name]
    assert_close(read(FIXTURES / "recipes" / f"{name}.yaml"), expected, tolerance=0.0)
    if name in (*RUNS, "interrupted"):
        found = read(FIXTURES / "runs" / name / "recipe.yaml")
        for section in ("strategy", "train", "module"):
            assert_close(found[section], expected[section], tolerance=0.0, skip=("learning_rate",))


def test_recorded_lists_are_read(tmp_path, monkeypatch, answer):
    monkeypatch.chdir(tmp_path)
    draw_odd(tmp_path / "odd")
    shutil.copytree(FIXTURES / "split", tmp_path / "split")
    dataset = hubtune.ListDataset("split")
    counts = EXPECTED["split"]["counts"]
    for part in ("train", "validate", "test"):
        examples = dataset.examples(part)
        assert len(examples) == sum(row[part] for row in counts.values())
        assert all(example.path.is_file() for example in examples)
    assert dataset.label_list == list(counts)
    # Remarks are sentences for people, which may be reworded.
    check, recorded = (
        {**each, "remarks": []} for each in (answer("split", "--from", "split"), EXPECTED["check"])
    )
    assert_close(check, recorded, tolerance=1e-9)


@pytest.mark.parametrize("name", ["split", "split_groups"])
def test_recorded_lists_are_not_replaced_by_the_same(name, tmp_path, monkeypatch, answer):
    monkeypatch.chdir(tmp_path)
    draw_odd(tmp_path / "odd")
    shutil.copytree(FIXTURES / name, tmp_path / name)
    options = {
        "split": ("--val", "3", "--test", "2"),
        "split_groups": ("--group-by", r"(series\d+)", "--seed", "2", "--val", "20%", "--test", "20%"),
    }
    answer("split", "odd", *options[name], "--out", name)
    for file in (FIXTURES / name).iterdir():
        if file.suffix == ".txt":
            assert (tmp_path / name / file.name).read_bytes() == file.read_bytes()


def test_recorded_caches_change_no_result(place, monkeypatch, answer):
    draw_odd(place / "odd")
    shutil.copytree(FIXTURES / "home", place / "home")
    monkeypatch.setenv("HUBTUNE_HOME", str(place / "home"))
    result = answer("finetune", "recipes/frozen.yaml", "-o", "run=runs/again")
    assert_close(result, EXPECTED["frozen"]["finetune"], tolerance=1e-4, skip=("run", "best_model"))
    words = ("title", "advice", "note", "reason", "unreadable")
    assert_close(answer("scan", "odd"), EXPECTED["scan"], tolerance=1e-6, skip=words)
    answer("cache", "ls")
    answer("cache", "verify")
