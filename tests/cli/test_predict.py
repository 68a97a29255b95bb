"""``hubtune predict``: outputs that are checked before any work, and rows for images that cannot be read."""

import csv

import numpy as np
import pytest
from PIL import Image
from support.commands import json_of
from support.download_server import serving, status, whole
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train, train_frozen

import hubtune


@pytest.mark.slow
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
    trained = json_of(run_here("evaluate", "runs/pics", "--on", "train", "--json"))
    assert "says nothing about new ones" in trained["remarks"][-1]

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


@pytest.mark.slow
def test_strangers_are_rejected_sorted_apart_and_measured(here, run_here, assert_refused):
    data = draw_faint_split(here / "data", each=12, validate=3, test=3, difference=40)
    train_frozen(smallnet(), data, here / "runs" / "faint")
    (here / "odd").mkdir()
    stripes = np.zeros((32, 48, 3), np.uint8)
    for number in range(3):
        stripes[:, :: number + 2] = 255
        Image.fromarray(stripes).save(here / "odd" / f"stripes{number}.png")
    (here / "odd" / "bad.png").write_text("no picture")
    plain = json_of(run_here("predict", "odd", "data/pics/a", "--json"))["rows"]
    assert [row["known"] for row in plain[:4] if row["error"] is None] == [False] * 3
    assert all(row["label"] is not None for row in plain if row["error"] is None)
    assert {row["nearest"] for row in plain[4:]} == {"a"}
    rows = json_of(run_here("predict", "odd", "data/pics/a", "--reject", "--json"))["rows"]
    for row in rows[:4]:
        assert (row["label"], row["score"]) == (None, None)
        assert row["error"] is not None or (row["rejected"] and row["nearest_image"].endswith(".png"))
    done = run_here("predict", "odd", "--reject")
    assert sum("unknown (nearest: " in line for line in done.stdout.splitlines()) == 3
    assert "No label: 3 of 4 pictures, unlike all training pictures" in done.stderr
    assert "(unlike all training pictures)" in run_here("predict", "odd").stdout

    done = run_here("predict", "odd", "data/pics/a", "--sort-into", "sorted")
    assert done.returncode == 0, done.stderr
    found = {path.parent.name for path in (here / "sorted").rglob("*.png")}
    assert {"unknown", "unreadable", "a"} <= found
    assert "sorted/unknown: " in done.stderr
    assert_refused(
        ("predict odd --link", 2, "--link goes with --sort-into DIR"),
        ("predict odd --sort-into odd/bad.png", 2, "--sort-into odd/bad.png is a file: name a folder"),
        ("predict odd --sort-into .", 2, "--sort-into . holds pictures that would be sorted"),
    )
    (here / "nothing").mkdir()
    assert_refused(("evaluate --unknown nothing --csv c.csv", 3, "There is no picture in nothing"))
    assert not (here / "c.csv").exists()
    document = json_of(run_here("evaluate", "--unknown", "odd", "--json"))
    assert (document["unknown"]["count"], document["unknown"]["unreadable"]) == (3, 1)
    assert document["unknown"]["rejected"] == 1.0
    assert document["unknown"]["auroc"] == 1.0
    printed = run_here("evaluate", "--unknown", "odd").stdout
    assert "Unknown:     --reject leaves 100.0 % of 3 unknown pictures" in printed
    train_frozen(smallnet(), data, here / "runs" / "old", reference=False)
    assert_refused(
        ("predict odd --model runs/old --reject", 4, "no features of training images to reject others by"),
        ("evaluate runs/old --unknown odd", 4, "--unknown needs a model with features of training pictures"),
    )


@pytest.mark.slow
def test_pictures_at_addresses_are_fetched_and_named_by_them(here, small_run, run_here):
    photo = next((here / "data" / "pics").rglob("*.png"))
    with serving() as server:
        server.plan = [whole(photo.read_bytes())]
        address = f"{server.base}/photos/one.png"
        rows = json_of(run_here("predict", address, photo, "--json"))["rows"]
        assert rows[0]["path"] == address
        assert {**rows[0], "path": str(photo)} == rows[1]
        assert run_here("predict", address).stdout.startswith(f"{address}  ")
        server.plan = [status(404)]
        done = run_here("predict", f"{server.base}/gone.png", photo, "--csv", "rows.csv")
        assert "cannot be fetched: the server answers 404" in done.stderr
        assert f"{server.base}/gone.png,,," in (here / "rows.csv").read_text()
