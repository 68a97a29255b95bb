"""``hubtune suggest`` names pictures to label next."""

import csv

import pytest
from support.commands import json_of
from support.images import noise_image
from support.multi_label import draw_label_lists, draw_labelled
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen

import hubtune


@pytest.mark.slow
def test_pictures_of_a_pool_are_suggested_once_each(here, run_here, assert_refused):
    data = draw_faint_split(here / "data", each=10, validate=2, test=2)
    train_frozen(smallnet(), data, here / "runs" / "faint")
    (here / "pool").mkdir()
    for number in range(4):
        noise_image(48, 32, seed=number).save(here / "pool" / f"{number}.png")
    noise_image(48, 32, seed=0).save(here / "pool" / "copy.png")
    (here / "pool" / "bad.png").write_text("no picture")
    document = json_of(run_here("suggest", "pool", "-n", 10, "--json"))
    paths = [row["path"] for row in document["rows"]]
    assert document["count"] == 6
    assert [row["rank"] for row in document["rows"]] == list(range(1, len(paths) + 1))
    assert len(set(paths)) == len(paths) <= 4
    assert not {"pool/0.png", "pool/copy.png"} <= set(paths)
    assert "pool/bad.png" not in paths
    done = run_here("suggest", "pool", "-n", 2, "--csv", "next.csv")
    assert done.returncode == 0, done.stderr
    with (here / "next.csv").open(encoding="utf-8", newline="") as text:
        assert [row["path"] for row in csv.DictReader(text)] == paths[:2]
    assert "novelty" in run_here("suggest", "pool", "-n", 2).stdout
    assert_refused(
        ("suggest pool/bad.png", 3, "None of the pictures can be read"),
        ("suggest pool -n 0", 2, "0 is not in the range"),
        ("suggest pool --csv pool", 2, "--csv pool is a folder: name a file"),
    )


@pytest.mark.slow
def test_a_multi_label_model_names_the_label_that_it_is_least_sure_of(here, run_here):
    draw_label_lists(here / "data", 40, difference=30)
    train_frozen(hubtune.Module("digitnet"), here / "data", here / "runs" / "a")
    draw_labelled(here / "pool", 6, seed=1)
    rows = json_of(run_here("suggest", "pool/pics", "-n", 6, "--json"))["rows"]
    for row in rows:
        assert row["uncertainty"] == pytest.approx(1 - abs(2 * row["score"] - 1))
    assert "least sure of" in run_here("suggest", "pool/pics", "-n", 2).stdout
