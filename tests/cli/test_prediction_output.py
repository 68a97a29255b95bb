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
    assert capsys.readouterr().out.splitlines() == [
        "a.png  cat 75.0 % · =dog 25.0 %",
        "b.png  — empty file (0 bytes)",
    ]


def test_csv_has_a_row_per_image_and_no_formulas(tmp_path):
    file = tmp_path / "rows.csv"
    _predict(_output(csv_file=file, scores=True))
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [row["path"] for row in rows] == ["a.png", "b.png"]
    assert (rows[0]["label"], rows[0]["score"], rows[1]["error"]) == ("cat", "0.75", "empty file (0 bytes)")
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
