"""Predictions are printed, and written as CSV, JSON and labelled images."""

import csv
import json
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from hubtune.cli.prediction_output import PredictionOutput, escape_formula, prediction_options
from hubtune.errors import UsageError
from hubtune.inference.model import Prediction

SCORES = {"=cat": 0.75, "dog": 0.25}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Predicts a.png, and a file that cannot be read."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    readable = Prediction("a.png", "=cat", 0.75, SCORES)
    unreadable = Prediction("-b.png", None, None, {}, "no such file")
    rows = {row.path: row for row in (readable, unreadable)}
    return SimpleNamespace(
        labels=["dog", "=cat"], predict=lambda paths, batch_size: (rows[path] for path in paths)
    )


@pytest.fixture
def call(model):
    """Runs a command that predicts a.png and -b.png."""

    @click.command()
    @prediction_options(top=5)
    def command(output, batch_size, device, engine):
        output.check_targets(["a.png"])
        output.predict(model, "m", ["a.png", "-b.png"], batch_size=batch_size)

    return lambda *arguments: CliRunner().invoke(command, list(map(str, arguments)))


def test_rows_are_printed_with_the_best_classes(call):
    done = call()
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["a.png   =cat 75.0 % · dog 25.0 %", "-b.png  — no such file"]
    assert done.stderr == "1 of 2 pictures could not be read; their rows say why\n"


def test_csv_has_no_formulas_and_all_scores_if_asked_for(call, tmp_path):
    done = call("--csv", tmp_path / "x.csv", "--scores", "--top", 2)
    assert done.stdout == ""
    header, first, second = csv.reader((tmp_path / "x.csv").open(newline=""))
    assert header == ["path", "label", "score", "label2", "score2", "error", "dog", "'=cat"]
    assert first[1:] == ["'=cat", "0.75", "dog", "0.25", "", "0.25", "0.75"]
    assert second == ["'-b.png", "", "", "", "", "no such file", "", ""]
    assert [escape_formula(text) for text in ("@x", "x=")] == ["'@x", "x="]


def test_json_has_one_document(call):
    document = json.loads(call("--json", "--scores").stdout)
    assert document["model"] == "m"
    first, second = document["rows"]
    assert first.pop("top") == [{"label": label, "score": score} for label, score in SCORES.items()]
    assert first == {"path": "a.png", "label": "=cat", "score": 0.75, "scores": SCORES, "error": None}
    assert second.pop("top") == []
    assert second == {"path": "-b.png", "label": None, "score": None, "scores": {}, "error": "no such file"}
    assert "scores" not in json.loads(call("--json", "--top", 1).stdout)["rows"][0]


def test_labelled_images_are_saved(call, tmp_path):
    assert call("--save", tmp_path / "out").exit_code == 0
    assert len(list((tmp_path / "out").iterdir())) >= 2


@pytest.mark.parametrize(
    ("save", "message"),
    [
        ("no/out", "There is no folder"),
        ("a.png", "is a file: name a folder"),
        (".", "that are to be predicted"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, model, save, message):
    output = PredictionOutput(1, None, False, False, tmp_path / save)
    with pytest.raises(UsageError, match=message):
        output.check_targets(["a.png"])
