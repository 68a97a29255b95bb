"""``hubtune audit`` ranks wrong labels of a run or of a folder, in a table, CSV, JSON and on a page."""

import csv
import shutil
from pathlib import Path

import pytest
from support.commands import json_of
from support.images import draw_marked_tree
from support.multi_label import draw_labelled, write_label_lists, write_label_table
from support.split_folder import write_lists
from support.tiny_task import smallnet, train, train_frozen

import hubtune


def _draw(here):
    """Draw classes that differ in brightness, and give two images of a the label b."""

    def tint(pixels, name):
        pixels += 70 * ("abc".index(name) - 1)

    pics = draw_marked_tree(here / "pics", dict.fromkeys("abc", 14), tint)
    for name in ("000", "001"):
        shutil.move(pics / "a" / f"{name}.png", pics / "b" / f"wrong{name}.png")
    return pics


@pytest.mark.slow
def test_wrong_labels_of_a_folder_and_of_a_run_come_first(here, run_here, assert_refused):
    _draw(here)
    arguments = ("--module", "smallnet", "--weights", "none")
    document = json_of(run_here("audit", "pics", *arguments, "--page", "page.html", "--json"))
    assert document["count"] == 42
    first = document["rows"][:2]
    assert {row["path"] for row in first} == {"pics/b/wrong000.png", "pics/b/wrong001.png"}
    assert {(row["label"], row["other"], row["list"]) for row in first} == {("b", "a", "")}
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "wrong000.png" in page
    assert "more likely a" in page

    data = write_lists(here / "pics", validate=3, test=3)
    train_frozen(smallnet(), data, here / "runs" / "pics")
    done = run_here("audit", "--csv", "suspects.csv", "--top", 2)
    assert done.returncode == 0, done.stderr
    assert "wrong000.png" in done.stdout
    assert "are not what a head says that was fitted without the picture" in done.stderr
    with (here / "suspects.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["path"].rpartition("/")[2] for row in rows[:2]} == {"wrong000.png", "wrong001.png"}
    assert {row["list"] for row in rows} <= {"train", "validate", "test"}
    assert "was trained on the labels" not in done.stderr
    train(smallnet(), data, here / "runs" / "trained", epochs=1)
    done = run_here("audit", "runs/trained", "--json")
    assert "was trained on the labels" in done.stderr
    assert_refused(
        ("audit runs/pics --module smallnet", 2, "--module and --weights go with PICTURES"),
        ("audit runs/pics --csv gone/x.csv", 2, "There is no folder gone to write into"),
        ("audit runs/pics/best_model", 2, "is a model without lists: name its run, or pictures"),
        ("audit gone", 3, "gone"),
    )


def test_labels_without_a_doubt_are_said_to_be_fine(here, run_here):
    def tint(pixels, name):
        pixels += 110 * ("ab".index(name) * 2 - 1)

    draw_marked_tree(here / "pics", dict.fromkeys("ab", 8), tint)
    done = run_here("audit", "pics", "--module", "smallnet", "--weights", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "No label of 16 pictures is improbable." in done.stderr


def test_labels_of_multi_label_pictures_are_judged_each_by_itself(here, run_here):
    paths, truth = draw_labelled(here / "data", 100)
    truth[0, 0], truth[1, 1] = ~truth[0, 0], ~truth[1, 1]
    write_label_lists(here / "data", paths, truth)
    train_frozen(hubtune.Module("digitnet"), here / "data", here / "runs" / "a")
    planted = {
        ("000.png", "red", bool(truth[0, 0])),
        ("001.png", "green", bool(truth[1, 1])),
    }
    document = json_of(run_here("audit", "--json", "--page", "page.html"))
    assert document["count"] == 100
    named = [(Path(row["path"]).name, row["label"], row["given"]) for row in document["rows"]]
    assert planted <= {*named[:6]}
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "red may be " in page and "100 pictures that can be read, with 4 labels" in page
    table = write_label_table(here / "data" / "table.csv", paths, truth)
    done = run_here("audit", table, "--module", "digitnet", "--csv", "suspects.csv", "--top", 3)
    assert "of 400 labels are not what a head says" in done.stderr
    assert "may be" in done.stdout
    with (here / "suspects.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["given"] for row in rows[:6]} <= {"True", "False"}
    assert planted <= {(Path(row["path"]).name, row["label"], row["given"] == "True") for row in rows[:6]}
