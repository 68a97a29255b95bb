"""Lists, reports and trained models are what an earlier version made of the same pictures."""

import json

import pytest
from support.drawn_images import draw_odd
from support.recorded import EXPECTED, FIXTURES, assert_close

import hubtune


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A working folder with pictures of all kinds."""
    monkeypatch.chdir(tmp_path)
    draw_odd(tmp_path / "odd")
    return tmp_path


# Sentences for people may be worded anew.
WORDS = ("remarks", "title", "advice", "note", "reason", "unreadable", "said", "error", "description")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("split", ("--val", "3", "--test", "2")),
        ("split_groups", ("--group-by", r"(series\d+)", "--seed", "2", "--val", "20%", "--test", "20%")),
        ("split_folds", ("--folds", "3")),
    ],
)
def test_splits_are_as_recorded(name, options, odd, answer):
    found = answer("split", "odd", *options, "--out", name)
    assert_close(found, EXPECTED[name], tolerance=1e-9, skip=WORDS)
    if (FIXTURES / name).is_dir():
        files = sorted(file.name for file in (FIXTURES / name).iterdir())
        assert sorted(file.name for file in (odd / name).iterdir() if file.name[0] != ".") == files
        for file in files:
            if file.endswith(".txt"):
                assert (odd / name / file).read_bytes() == (FIXTURES / name / file).read_bytes()
        found, expected = (
            json.loads((folder / name / "split.json").read_bytes()) for folder in (odd, FIXTURES)
        )
        assert_close(found, expected, tolerance=1e-9, skip=(*WORDS, "hubtune", "version", "made_by"))


def test_a_check_of_lists_finds_what_was_recorded(odd, answer):
    for _ in range(2):  # the same lists are no conflict
        answer("split", "odd", "--val", "3", "--test", "2", "--out", "split")
    assert_close(answer("split", "--from", "split"), EXPECTED["check"], tolerance=1e-9, skip=WORDS)


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
    result = answer("finetune", f"recipes/{name}.yaml", "-o", "run=runs/now", *trust)
    assert_close(result, EXPECTED[name]["finetune"], tolerance=1e-3, skip=("run", "best_model"))
    rows = answer("predict", "data/pics", "--model", "runs/now", "--scores", "--trust-code")
    assert_close(rows, EXPECTED[name]["predict"], tolerance=1e-3, skip=("model",))


def test_pictures_that_cannot_be_read_have_a_row(place, answer):
    draw_odd(place / "odd")
    unreadable = ["odd/cat/cut.png", "odd/dog/text.png", "odd/dog/empty.png", "odd/none.png"]
    paths = [*unreadable, "data/pics/ant/000.png"]
    rows = answer("predict", *paths, "--model", "runs/rules", "--trust-code")["rows"]
    assert [row["path"] for row in rows] == paths
    assert [row["label"] is None for row in rows] == [True] * 4 + [False]
    assert [row["error"] is None for row in rows] == [False] * 4 + [True]


def test_prediction_does_not_depend_on_how_it_is_asked_for(place, answer):
    recorded = EXPECTED["rules"]["predict"]["rows"]
    paths = [row["path"] for row in recorded]
    given = ("--model", "runs/rules", "--scores", "--trust-code")
    rows = answer("predict", *reversed(paths), "--batch-size", "5", "--engine", "paddle", *given)["rows"]
    assert_close(rows[::-1], recorded, tolerance=1e-4)
    model = hubtune.load_model("runs/rules", trust_code=True)
    assert [row.label for row in model.predict(paths)] == [row["label"] for row in recorded]
