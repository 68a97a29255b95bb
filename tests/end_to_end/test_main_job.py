"""split, finetune, evaluate and predict as a person types them, each in a process of its own."""

import csv
import sys

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
    titles = ["Validation", "Test", "Views", "Best model", "Next", "More"]
    assert [line.split(":")[0] for line in lines[:6]] == titles
    assert [line.split()[-1] for line in lines[6:]] == ["strategy=last_stage", "strategy=default_finetune"]
    assert lines[1].startswith("Test:       100.0 % (6 of 6 right; 95 % interval 61.0–100.0 %)")
    assert lines[4] == "Next:       hubtune predict PICTURES --model runs/pics"
    assert (tmp_path / "runs" / "latest").read_text() == "pics\n"

    figures = json_of(run_hubtune("evaluate", "--json", cwd=tmp_path))
    assert set(figures) == {
        *("schema_version", "model", "list", "accuracy", "loss", "count", "interval", "unreadable"),
    }
    assert (figures["model"], figures["list"]) == ("runs/pics", "test_list.txt")
    assert (figures["accuracy"], figures["count"]) == (1.0, 6)

    (tmp_path / "broken.jpg").write_bytes(b"")
    sources = ("pics/dog/*.png", "broken.jpg", "pics/cat")
    rows = json_of(run_hubtune("predict", *sources, "--json", "--scores", cwd=tmp_path))["rows"]
    assert [row["path"] for row in rows[:2]] == ["pics/dog/000.png", "pics/dog/001.png"]
    assert rows[12] == {
        "path": "broken.jpg",
        "label": None,
        "score": None,
        "scores": {},
        "error": "empty file (0 bytes)",
    }
    assert [row["label"] for row in rows] == ["dog"] * 12 + [None] + ["cat"] * 12
    assert sum(rows[0]["scores"].values()) == pytest.approx(1)


def test_names_in_any_script_go_through_the_whole_path(tmp_path, run_here, draw_photos):
    pics = draw_photos(tmp_path / "图 片" / "pics", {"虞书欣 🌸": 8, "-dash, comma": 8})
    (pics / "虞书欣 🌸" / "000.png").rename(pics / "虞书欣 🌸" / "=1+1 \u2028 é.png")
    for arguments in (
        ("split", "pics", "--val", 2, "--test", 2),
        ("finetune", "pics", *SMALLNET),
        ("predict", "pics", "--csv", "out.csv", "--scores"),
    ):
        done = run_here(*arguments, cwd=tmp_path / "图 片")
        assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "图 片" / "out.csv").open(encoding="utf-8", newline="")))
    assert len(rows) == 16
    assert {row["label"] for row in rows} == {"虞书欣 🌸", "'-dash, comma"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps file names that are no valid UTF-8")
@pytest.mark.slow
def test_a_class_name_that_is_not_valid_utf8_goes_through_the_whole_path(tmp_path, draw_photos, run_hubtune):
    pics = draw_photos(tmp_path / "pics", {"cat": 12, "dog": 12})
    (pics / "dog").rename(pics / "d\udcffg")
    json_of(run_hubtune("split", "pics", "--val", 2, "--test", 2, "--json", cwd=tmp_path))
    run = json_of(run_hubtune("finetune", "pics", *SMALLNET, "--json", cwd=tmp_path))
    assert json_of(run_hubtune("evaluate", "--json", cwd=tmp_path))["accuracy"] == run["test"]["accuracy"]
    rows = json_of(run_hubtune("predict", "pics", "--csv", "out.csv", "--json", cwd=tmp_path))["rows"]
    assert {row["label"] for row in rows} == {"cat", "d\udcffg"}
    assert b"d\xffg" in (tmp_path / "out.csv").read_bytes()
    assert "d\\udcffg" in run_hubtune("predict", "pics", cwd=tmp_path).stdout
