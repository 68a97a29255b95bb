"""``hubtune predict``: outputs that are checked before any work, and rows for images that cannot be read."""

import csv

import pytest
from support.commands import json_of
from support.tiny_task import smallnet, train

import hubtune


@pytest.fixture
def trained(tmp_path, draw_photos, run_here, monkeypatch):
    """A folder with ``pics``, lists that hold no test images, and a run."""
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "pics", {"cat": 12, "dog": 12})
    json_of(run_here("split", "pics", "--val", 4, "--json"))
    return train(smallnet(), tmp_path, tmp_path / "runs" / "pics", strategy=hubtune.FrozenStrategy())


def test_a_list_has_a_row_per_image_and_as_many_classes_as_there_are(trained, tmp_path, run_here):
    assert trained.test is None
    figures = json_of(run_here("evaluate", "runs/pics", "--on", "validate_list.txt", "--json"))
    assert figures["accuracy"] == trained.validate.accuracy
    # Without a label list beside it, a list has the model's classes.
    (tmp_path / "alone").mkdir()
    lines = (tmp_path / "validate_list.txt").read_text().splitlines(keepends=True)
    (tmp_path / "alone" / "list.txt").write_text("".join(f"../{line}" for line in lines))
    alone = json_of(run_here("evaluate", "runs/pics", "--on", "alone/list.txt", "--json"))
    assert alone["accuracy"] == figures["accuracy"]
    done = run_here("predict", "validate_list.txt", "--csv", "answers.csv", "--top", 9)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "answers.csv").open(encoding="utf-8")))
    assert len(rows) == figures["count"] == 8
    assert list(rows[0]) == ["path", "label", "score", "label2", "score2", "error"]
    unreadable = run_here("predict", "no.jpg", "--csv", "answers.csv")
    assert unreadable.returncode == 3
    assert "no.jpg,,,no such file" in (tmp_path / "answers.csv").read_text()


@pytest.mark.usefixtures("trained")
def test_what_cannot_be_written_is_refused_before_anything_is_predicted(tmp_path, run_here):
    (tmp_path / "empty.txt").write_text("\n")
    for arguments, code, message in (
        (("pics", "--csv", "pics"), 2, "Error: --csv pics is a folder: name a file"),
        (("pics", "--csv", "gone/out.csv"), 2, "Error: There is no folder gone to write into: make it first"),
        (("pics", "--save", "empty.txt"), 2, "Error: --save empty.txt is a file: name a folder"),
        (("pics", "--save", "pics/cat"), 2, "Error: --save pics/cat has pictures that would be predicted"),
        (("empty.txt",), 3, "Error: empty.txt names no picture"),
        (("pics", "--device", "tpu"), 2, "Error: There is no device 'tpu'"),
        (("pics", "--model", "pics"), 4, "Error: pics is neither a run nor a model"),
    ):
        done = run_here("predict", *arguments)
        assert done.returncode == code, done.stderr
        assert any(line.startswith(message) for line in done.stderr.splitlines()), done.stderr
        assert not done.stdout
