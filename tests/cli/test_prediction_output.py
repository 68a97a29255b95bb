"""Predictions as lines, CSV and JSON; an unreadable image has its row everywhere."""

import csv
import json
from types import SimpleNamespace

import pytest

from hubtune.cli.prediction_output import PredictionOutput
from hubtune.errors import UsageError
from hubtune.inference.prediction import Prediction

ROWS = [
    Prediction("a.png", "cat", 0.75, {"cat": 0.75, "=dog": 0.25}),
    Prediction("b.png", None, None, {}, "empty file (0 bytes)"),
]


def model_of(rows, **card):
    return SimpleNamespace(
        labels=("cat", "=dog"),
        reference=None,
        predict=lambda paths, reject, batch_size: iter(rows),
        card=SimpleNamespace(**{"multi_label": False, **card}),
    )


MODEL = model_of(ROWS)


def test_lines_csv_and_json_name_classes_or_the_reason(tmp_path, capsys):
    def printed(csv_file=None, as_json=False):
        output = PredictionOutput(2, csv_file, as_json, scores=True, save=None)
        output.predict(MODEL, "runs/x", ["a.png", "b.png"], batch_size=2)
        return capsys.readouterr().out

    lines = ["a.png  cat 75.0 % · =dog 25.0 %", "b.png  — empty file (0 bytes)"]
    assert printed().splitlines() == lines
    assert printed(tmp_path / "rows.csv") == ""
    rows = list(csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8")))
    assert [row["path"] for row in rows] == ["a.png", "b.png"]
    assert (rows[0]["label"], rows[0]["score"], rows[1]["error"]) == ("cat", "0.75", "empty file (0 bytes)")
    assert not any(cell and cell[0] == "=" for row in rows for cell in row.values())  # no formulas
    document = json.loads(printed(as_json=True))
    assert (document["schema_version"], document["model"]) == (1, "runs/x")
    assert [row["label"] for row in document["rows"]] == ["cat", None]
    assert document["rows"][0]["scores"] == {"cat": 0.75, "=dog": 0.25}


def test_all_labels_of_a_multi_label_model_are_named_or_the_most_likely_one(tmp_path, capsys):
    scores = {"cat": 0.75, "=dog": 0.25}
    rows = [
        Prediction("a.png", None, None, scores, labels=scores),
        Prediction("b.png", None, None, scores, labels={}),
        Prediction("c.png", None, None, {}, "empty file (0 bytes)", labels={}),
    ]
    model, paths = model_of(rows, multi_label=True), ["a.png", "b.png", "c.png"]
    PredictionOutput(1, None, False, scores=False, save=None).predict(model, "runs/x", paths, batch_size=2)
    assert capsys.readouterr().out.splitlines() == [
        "a.png  cat 75.0 % · =dog 25.0 %",
        "b.png  no label (most likely cat 75.0 %)",
        "c.png  — empty file (0 bytes)",
    ]
    output = PredictionOutput(1, tmp_path / "rows.csv", False, scores=True, save=None)
    output.predict(model, "runs/x", paths, batch_size=2)
    table = list(csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8")))
    assert [row["labels"] for row in table] == ["cat;=dog", "", ""]
    assert [row["label_scores"] for row in table] == ["0.75;0.25", "", ""]
    assert [row["error"] for row in table] == ["", "", "empty file (0 bytes)"]
    assert table[1]["score: cat"] == "0.75"
    sorting = PredictionOutput(1, None, False, scores=False, save=None, sort_into=tmp_path / "sorted")
    with pytest.raises(UsageError, match="several labels"):
        sorting.predict(model, "runs/x", paths, batch_size=2)
