"""The demo: what it writes and measures."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.demo import demo_result

import hubtune
from hubtune.demo import DIGITS, run_demo, write_digits


def test_the_digits_are_written_as_a_folder_a_class(tmp_path):
    write_digits(tmp_path / "all")
    images, data = sorted((tmp_path / "all").rglob("*.png")), load_digits()
    assert Counter(path.parent.name for path in images) == Counter(map(str, data.target))
    number = 1234
    with Image.open(tmp_path / "all" / str(data.target[number]) / f"{number:04}.png") as image:
        assert (image.mode, image.size) == ("RGB", (32, 32))
        shrunk = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX), float)
    assert np.corrcoef(shrunk.ravel(), data.images[number].ravel())[0, 1] > 0.95


def test_a_folder_of_someone_else_is_refused_and_ten_points_ahead_pass(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(hubtune.UsageError) as caught:
        run_demo(tmp_path)
    message = f"{tmp_path} exists and was not made by the demo: name another folder, --out DIR"
    assert str(caught.value) == message
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(hubtune.MachineError, match="cannot be written"):
        run_demo(tmp_path / "letter.txt" / "demo")
    passed = (demo_result((0.9, 0.92, last), (0.8, 0.8, 0.8)).passed for last in (0.94, 0.86))
    assert [*passed] == [True, False]


@pytest.mark.slow
def test_a_small_demo_replaces_an_earlier_one_and_nothing_else(tmp_path):
    place = tmp_path / "demo"
    (place / "runs" / "old").mkdir(parents=True)
    (place / ".hubtune-demo").touch()
    (place / "notes.txt").write_text("mine")
    result = run_demo(place, seeds=[0], long_epochs=1)
    assert (place / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in (place / "runs").iterdir()) == [
        *("finetuned-0", "latest", "scratch-0", "scratch-long-0")
    ]
    assert not Path("runs").exists()  # where the command was run, nothing is changed
    assert result.count == 450
    assert hubtune.load_model(result.model).labels == [str(digit) for digit in DIGITS]
    with Image.open(result.image) as image:
        assert image.width > 1000
    assert result.image.stat().st_size < 200_000
    lists = place / "lists" / "seed-0"
    training, test = ({*(lists / f"{name}_list.txt").open()} for name in ("train", "test"))
    assert (len(training), len(test), len(training & test)) == (30, 450, 0)


@pytest.mark.slow
def test_the_demo_passes(run_hubtune, tmp_path):
    done = run_hubtune("demo", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    finetuned, scratch, longer = (
        document[name]["accuracy"] for name in ("finetuned", "scratch", "scratch_long")
    )
    assert finetuned > 0.90
    assert finetuned - scratch >= 0.10
    assert longer > finetuned - 0.05
    assert (tmp_path / document["picture"]).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["hubtune-demo"]
    assert "Warning" not in done.stderr
