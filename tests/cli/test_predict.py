"""``hubtune predict``: rows that agree with ``evaluate``, and outputs that are checked before any work."""

import csv
import json

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


def test_predicting_a_list_agrees_with_evaluate(trained, tmp_path, run_here):
    assert trained.test is None
    figures = json_of(run_here("evaluate", "runs/pics", "--on", "validate_list.txt", "--json"))
    answers = tmp_path / "answers.csv"
    done = run_here("predict", "validate_list.txt", "--csv", answers, "--top", 9)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(answers.open(encoding="utf-8")))
    names = (tmp_path / "label_list.txt").read_text().split()
    lines = (tmp_path / "validate_list.txt").read_text().splitlines()
    truth = [names[int(line.split()[1])] for line in lines]
    right = sum(row["label"] == name for row, name in zip(rows, truth, strict=True))
    assert right / len(truth) == figures["accuracy"] == trained.validate.accuracy
    # There are two classes: --top is limited to them.
    assert list(rows[0]) == ["path", "label", "score", "label2", "score2", "error"]


@pytest.mark.usefixtures("trained")
def test_unreadable_images_alone_exit_with_3_and_still_have_rows(run_here):
    done = run_here("predict", "no.jpg", "--json")
    assert done.returncode == 3
    assert [row["error"] for row in json.loads(done.stdout)["rows"]] == ["no such file"]


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
