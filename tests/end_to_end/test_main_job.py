"""split, finetune, evaluate and predict as a person types them, each in a process of its own."""

import pytest
from support.commands import json_of, options

SMALLNET = options("module.name=smallnet", "module.weights=none")


def test_the_whole_path_from_a_folder_to_predictions(tmp_path, draw_photos, run_hubtune):
    draw_photos(tmp_path / "pics", {"cat": 12, "dog": 12})
    split = json_of(run_hubtune("split", "pics/", "--val", 3, "--test", "25%", "--json", cwd=tmp_path))
    assert split["counts"]["cat"] == {"train": 6, "validate": 3, "test": 3, "left_over": 0}

    done = run_hubtune("finetune", "pics/", *SMALLNET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Data: .; module: smallnet; strategy: frozen" in done.stderr.splitlines()
    lines = done.stdout.splitlines()
    titles = ["Validation", "Test", "Views", "Report", "Best model", "Next", "More"]
    assert [line.split(":")[0] for line in lines[:7]] == titles
    assert [line.split()[-1] for line in lines[7:]] == ["strategy=last_stage", "strategy=default_finetune"]
    assert lines[1].startswith("Test:       100.0 % (6 of 6 right; 95 % interval 61.0–100.0 %)")
    assert lines[5] == "Next:       hubtune predict PICTURES --model runs/pics"
    assert (tmp_path / "runs" / "latest").read_text() == "pics\n"

    figures = json_of(run_hubtune("evaluate", "--json", cwd=tmp_path))
    assert set(figures) == {
        *(
            "schema_version",
            "model",
            "list",
            "accuracy",
            "loss",
            "count",
            "interval",
            "unreadable",
            "remarks",
        ),
        *("largest_class", "top_k", "balanced_accuracy", "macro_f1", "per_class", "confusion"),
        *("mean_confidence", "mean_confidence_interval", "ece", "ece_expected", "ece_high", "calibration"),
        *("most_confused", "attractor"),
    }
    assert (figures["model"], figures["list"]) == ("runs/pics", "test_list.txt")
    assert (figures["accuracy"], figures["count"]) == (1.0, 6)

    (tmp_path / "broken.jpg").write_bytes(b"")
    sources = ("pics/dog/*.png", "broken.jpg", "pics/cat")
    rows = json_of(run_hubtune("predict", *sources, "--json", "--scores", cwd=tmp_path))["rows"]
    assert [row["path"] for row in rows[:2]] == ["pics/dog/000.png", "pics/dog/001.png"]
    unread = {"label": None, "score": None, "scores": {}, "error": "empty file (0 bytes)"}
    assert rows[12] == {"path": "broken.jpg", **unread}
    assert [row["label"] for row in rows] == ["dog"] * 12 + [None] + ["cat"] * 12
    assert sum(rows[0]["scores"].values()) == pytest.approx(1)
