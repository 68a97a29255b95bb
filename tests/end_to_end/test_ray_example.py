"""The example for Ray Data gives the rows of ``hubtune predict``."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.images import draw_mixed_folder
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "ray_predict.py"


@pytest.mark.slow
def test_the_rows_are_those_of_predict(tmp_path, run_hubtune):
    pytest.importorskip("ray", reason='Ray is not installed: pip install "ray[data]"')
    data = draw_faint_split(tmp_path / "data", each=12, validate=3, test=3, difference=40)
    train_frozen(smallnet(), data, tmp_path / "runs" / "small")
    draw_mixed_folder(tmp_path / "pics")
    done = subprocess.run(
        [sys.executable, EXAMPLE, "pics", "runs/small", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = {}
    for file in (tmp_path / "out").glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as text:
            answers |= {Path(row["path"]).name: row for row in csv.DictReader(text)}
    one = run_hubtune("predict", "pics", "--model", "runs/small", "--json", cwd=tmp_path)
    rows = json.loads(one.stdout)["rows"]
    assert len(rows) == len(answers) == 6
    for row in rows:
        answer = answers[Path(row["path"]).name]
        assert (answer["label"] or None, answer["error"] or None) == (row["label"], row["error"])
        assert row["score"] is None or float(answer["score"]) == row["score"]
