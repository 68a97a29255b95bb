<<<<<<< HEAD
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
=======
"""Predictions as lines, CSV and JSON; an unreadable image has its row everywhere."""

import csv
import json

import pytest

from hubtune.cli.prediction_output import PredictionOutput
from hubtune.errors import UsageError
from hubtune.inference.model import Prediction

ROWS = [
    Prediction("a.png", "cat", 0.75, {"cat": 0.75, "=dog": 0.25}),
    Prediction("b.png", None, None, {}, "empty file (0 bytes)"),
]


class _Model:
    labels = ("cat", "=dog")

    def predict(self, paths, batch_size):
        assert (paths, batch_size) == (["a.png", "b.png"], 2)
        return iter(ROWS)


def _output(**options):
    defaults = {"top": 2, "csv_file": None, "as_json": False, "scores": False, "save": None}
    return PredictionOutput(**{**defaults, **options})


def _predict(output):
    output.predict(_Model(), "runs/x", ["a.png", "b.png"], batch_size=2)


def test_a_line_per_image_names_classes_or_the_reason(capsys):
    _predict(_output())
    first, second = capsys.readouterr().out.splitlines()
    assert first == "a.png  cat 75.0 % · =dog 25.0 %"
    assert second.startswith("b.png  ")
    assert "empty file (0 bytes)" in second


def test_csv_has_a_row_per_image_and_no_formulas(tmp_path):
    file = tmp_path / "rows.csv"
    _predict(_output(csv_file=file, scores=True))
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [row["path"] for row in rows] == ["a.png", "b.png"]
    assert (rows[0]["label"], float(rows[0]["score"]), rows[1]["error"]) == (
        "cat",
        0.75,
        "empty file (0 bytes)",
    )
    assert not any(cell and cell[0] == "=" for row in rows for cell in row.values())


def test_json_is_one_document(capsys):
    _predict(_output(as_json=True, scores=True))
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["model"]) == (1, "runs/x")
    assert [row["label"] for row in document["rows"]] == ["cat", None]
    assert document["rows"][0]["scores"] == {"cat": 0.75, "=dog": 0.25}


def test_targets_are_checked_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file: name a folder"):
        _output(save=tmp_path / "file").check_targets([])
    with pytest.raises(UsageError, match="There is no folder"):
        _output(save=tmp_path / "no" / "where").check_targets([])
    with pytest.raises(UsageError, match="has pictures that would be predicted"):
        _output(save=tmp_path).check_targets([str(tmp_path / "a.png")])
>>>>>>> main
