"""Lists, reports and trained models are what an earlier version made of the same pictures."""

import json
import shutil

import pytest
from support.drawn_images import draw_odd
from support.recorded import EXPECTED, FIXTURES, assert_close

import hubtune

# Sentences for people may be worded anew.
WORDS = ("remarks", "title", "advice", "note", "reason", "unreadable", "said", "error", "description")
SPLITS = {
    "split": ("--val", "3", "--test", "2"),
    "split_groups": ("--group-by", r"(series\d+)", "--seed", "2", "--val", "20%", "--test", "20%"),
    "split_folds": ("--folds", "3"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_and_recorded_lists_are_the_same(name, odd, answer):
    found = answer("split", "odd", *SPLITS[name], "--out", name)
    assert_close(found, EXPECTED[name], tolerance=1e-9, skip=WORDS)
    if not (FIXTURES / name).is_dir():
        return
    files = sorted(file.name for file in (FIXTURES / name).iterdir())
    assert sorted(file.name for file in (odd / name).iterdir() if file.name[0] != ".") == files
    for file in files:
        if file.endswith(".txt"):
            assert (odd / name / file).read_bytes() == (FIXTURES / name / file).read_bytes()
    found, expected = (json.loads((folder / name / "split.json").read_bytes()) for folder in (odd, FIXTURES))
    assert_close(found, expected, tolerance=1e-9, skip=(*WORDS, "hubtune", "version", "made_by"))
    shutil.rmtree(odd / name)
    shutil.copytree(FIXTURES / name, odd / name)
    answer("split", "odd", *SPLITS[name], "--out", name)  # the same lists are no conflict


def test_recorded_lists_are_read_and_their_leaks_found(odd, answer):
    shutil.copytree(FIXTURES / "split", odd / "split")
    assert_close(answer("split", "--from", "split"), EXPECTED["check"], tolerance=1e-9, skip=WORDS)
    dataset, counts = hubtune.ListDataset("split"), EXPECTED["split"]["counts"]
    for part in ("train", "validate", "test"):
        examples = dataset.examples(part)
        assert len(examples) == sum(row[part] for row in counts.values())
        assert all(example.path.is_file() for example in examples)
    assert dataset.label_list == list(counts)


def test_a_scan_finds_what_was_recorded(odd, answer):
    first = answer("scan", "odd")
    assert_close(first, EXPECTED["scan"], tolerance=1e-6, skip=WORDS)
    assert answer("scan", "odd") == first


def test_a_recipe_comes_to_the_recorded_rates(place, answer):
    found = answer("recipe", "explain", "recipes/rules.yaml", "--trust-code")
    assert_close(found, EXPECTED["explain"], tolerance=1e-9, skip=WORDS)


@pytest.mark.parametrize("name", ["frozen", "rules", "last_stage", "grey"])
def test_training_ends_as_recorded(name, place, answer):
    trust = () if name == "frozen" else ("--trust-code",)
    logistic = ("-o", "strategy.head=logistic") if name in ("frozen", "last_stage") else ()
    result = answer("finetune", f"recipes/{name}.yaml", "-o", "run=runs/now", *logistic, *trust)
    assert_close(result, EXPECTED[name]["finetune"], tolerance=1e-3, skip=("run", "best_model"))
    rows = answer("predict", "data/pics", "--model", "runs/now", "--scores", "--trust-code")
    assert_close(rows, EXPECTED[name]["predict"], tolerance=1e-3, skip=("model",))


def test_prediction_does_not_depend_on_how_it_is_asked_for(place, answer):
    recorded = EXPECTED["rules"]["predict"]["rows"]
    paths = [row["path"] for row in recorded]
    given = ("--model", "runs/rules", "--scores", "--trust-code")
    rows = answer("predict", *reversed(paths), "--batch-size", "5", "--engine", "paddle", *given)["rows"]
    assert_close(rows[::-1], recorded, tolerance=1e-4)
    model = hubtune.load_model("runs/rules", trust_code=True)
    assert [row.label for row in model.predict(paths)] == [row["label"] for row in recorded]
    draw_odd(place / "odd")
    unreadable = ["odd/cat/cut.png", "odd/dog/text.png", "odd/dog/empty.png", "odd/none.png"]
    rows = answer("predict", *unreadable, paths[0], *given)["rows"]
    assert [row["path"] for row in rows] == [*unreadable, paths[0]]
    assert [(row["label"] is None, row["error"] is None) for row in rows] == [(True, False)] * 4 + [
        (False, True)
    ]
