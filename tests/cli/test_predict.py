"""``hubtune predict``: outputs that are checked before any work, and rows for images that cannot be read."""

import csv

from support.commands import json_of
from support.tiny_task import smallnet, train

import hubtune


def test_a_list_has_a_row_per_image_and_what_cannot_be_written_is_refused_before_any_work(
    here, draw_photos, run_here, assert_refused
):
    draw_photos(here / "pics", {"cat": 12, "dog": 12})
    json_of(run_here("split", "pics", "--val", 4, "--json"))
    run = train(smallnet(), here, here / "runs" / "pics", strategy=hubtune.FrozenStrategy())
    assert run.test is None
    figures = json_of(run_here("evaluate", "runs/pics", "--on", "validate_list.txt", "--json"))
    assert figures["accuracy"] == run.validate.accuracy
    # Without a label list beside it, a list has the model's classes.
    (here / "alone").mkdir()
    lines = (here / "validate_list.txt").read_text().splitlines(keepends=True)
    (here / "alone" / "list.txt").write_text("".join(f"../{line}" for line in lines))
    alone = json_of(run_here("evaluate", "runs/pics", "--on", "alone/list.txt", "--json"))
    assert alone["accuracy"] == figures["accuracy"]

    done = run_here("predict", "validate_list.txt", "--csv", "answers.csv", "--top", 9)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((here / "answers.csv").open(encoding="utf-8")))
    assert len(rows) == figures["count"] == 8
    assert list(rows[0]) == [
        *("path", "label", "score", "label2", "score2", "error"),
        *("known", "similarity", "nearest", "nearest_image"),
    ]
    (here / "empty.txt").write_text("\n")
    assert_refused(
        ("predict no.jpg --csv answers.csv", 3, "1 of 1 pictures could not be read"),
        ("predict pics --csv pics", 2, "Error: --csv pics is a folder: name a file"),
        ("predict pics --csv gone/out.csv", 2, "Error: There is no folder gone to write into: make it first"),
        ("predict pics --save empty.txt", 2, "Error: --save empty.txt is a file: name a folder"),
        ("predict pics --save no/x", 2, "Error: There is no folder no to write into: make it first"),
        ("predict pics --save pics/cat", 2, "Error: --save pics/cat has pictures that would be predicted"),
        ("predict two.csv --column x", 2, "--column 'x': write NAME=VALUE"),
        ("predict empty.txt", 3, "Error: empty.txt names no picture"),
        ("predict pics --device tpu", 2, "Error: There is no device 'tpu'"),
        ("predict pics --model pics", 4, "Error: pics is neither a run nor a model"),
    )
    assert "no.jpg,,,no such file" in (here / "answers.csv").read_text()
