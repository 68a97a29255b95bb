"""``hubtune explain`` writes tinted pictures and maps."""

import numpy as np
import pytest
from PIL import Image
from support.commands import json_of
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen


@pytest.mark.slow
def test_each_readable_picture_gets_a_tinted_one_and_a_map(here, run_here, assert_refused):
    data = draw_faint_split(here / "data", each=10, validate=2, test=2)
    train_frozen(smallnet(), data, here / "runs" / "faint")
    (here / "bad.png").write_text("no picture")
    arguments = ("explain", "data/pics/a", "bad.png", "-o", "looked", "--npy", "--json")
    done = run_here(*arguments)
    rows = json_of(done)["rows"]
    assert len(rows) == 11
    assert rows[-1]["error"] == "not a picture that can be read here"
    assert rows[-1]["files"] == []
    for row in rows[:-1]:
        tinted, heat = row["files"]
        assert Image.open(tinted).size == (48, 32)
        assert np.load(heat, allow_pickle=False).shape == (32, 48)
        assert row["exact"]
    done = run_here("explain", "data/pics/a/000.png", "bad.png", "-o", "other", "--class", "b")
    tinted, bad = done.stdout.splitlines()
    assert tinted.startswith("data/pics/a/000.png  b ") and tinted.endswith("  → other/00001-000.jpg")
    assert bad == "bad.png              — not a picture that can be read here"
    assert (here / "other" / "00001-000.jpg").is_file()
    assert_refused(
        ("explain data/pics/a -o data/pics/a", 2, "has pictures that would be explained"),
        ("explain data/pics/a -o bad.png", 2, "--out bad.png is a file: name a folder"),
        ("explain data/pics/a -o looked --class dog", 2, "The model has no class 'dog'"),
        ("explain data/pics/a", 2, "Missing option '-o'"),
    )
    labelled = run_here("predict", "data/pics/a", "--save", "labelled", "--explain")
    assert labelled.returncode == 0, labelled.stderr
    plain = run_here("predict", "data/pics/a", "--save", "plain")
    assert plain.returncode == 0, plain.stderr
    one, other = (np.asarray(Image.open(here / name / "00001-000.jpg")) for name in ("labelled", "plain"))
    assert (one != other).any()
    assert_refused(("predict data/pics/a --explain", 2, "--explain draws on the pictures of --save DIR"))
