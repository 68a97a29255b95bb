"""Predictions as lines, CSV and JSON; an unreadable image has its row everywhere."""

import csv
import json
from types import SimpleNamespace

from hubtune.cli.prediction_output import PredictionOutput
from hubtune.inference.prediction import Prediction

ROWS = [
    Prediction("a.png", "cat", 0.75, {"cat": 0.75, "=dog": 0.25}),
    Prediction("b.png", None, None, {}, "empty file (0 bytes)"),
]
MODEL = SimpleNamespace(
    labels=("cat", "=dog"), reference=None, predict=lambda paths, reject, batch_size: iter(ROWS)
)


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
