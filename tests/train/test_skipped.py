"""Pictures that cannot be read are known before the first step, told in few lines, and limited in number."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from hubtune.data.images.decode import ImageError
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError
from hubtune.train import data_checks as skipped
from hubtune.train.data_checks import BadImages


class Stopped(Exception):
    pass


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Eleven training and three validation pictures, checked in rows of two and portions of five."""
    monkeypatch.setattr(skipped, "_FILES_PER_TASK", 2)
    paths = [tmp_path / f"{number:02}.png" for number in range(14)]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    for bad in (0, 4, 5, 10, 11):
        paths[bad].write_bytes(b"")
    return {
        "train": [ImageEntry(path, 0) for path in paths[:11]],
        "validate": [ImageEntry(path, 0) for path in paths[11:]],
    }


def start(listed, before=(), **config):
    written = []
    run = SimpleNamespace(
        path=Path("run"), read_skipped=lambda: list(before), write_skipped=lambda rows: written.extend(rows)
    )
    config = SimpleNamespace(**{"workers": 2, "bad_pictures": "skip", "max_bad": "50%", **config})
    return BadImages(run, listed, config), written


def nothing():
    pass


def test_bad_files_are_noted_with_their_list(listed):
    images, written = start(listed)
    images.check_headers(nothing)
    assert [(name, path[-6:], reason) for name, path, reason in written] == [
        *(("train", f"{number:02}.png", "empty file (0 bytes)") for number in (0, 4, 5, 10)),
        ("validate", "11.png", "empty file (0 bytes)"),
    ]
    assert images.counts() == {"train": 4, "validate": 1}


def test_a_reason_is_one_line_however_many_pictures_it_has(listed, told):
    listed["train"][1].path.unlink()
    whole = listed["train"][2].path.read_bytes()
    listed["train"][2].path.write_bytes(whole[:-25])
    images, _ = start(listed)
    images.check_headers(nothing)
    first = listed["train"][0].path
    assert told.messages == [
        f"cannot be read (4 train, 1 validate): empty file (0 bytes): {first}, {first.with_name('04.png')}, "
        f"{first.with_name('05.png')} and 2 more",
        f"cannot be read (1 train): no such file: {first.with_name('01.png')}",
        f"cannot be read (1 train): damaged picture (the file ends too early): {first.with_name('02.png')}",
    ]


def test_many_reasons_are_not_many_lines(tmp_path, told, monkeypatch):
    paths = [tmp_path / f"{number}\x1b[2J.jpg" for number in range(20)]
    errors = {path: ImageError(path, f"reason {path.name[:2]}") for path in paths}

    def check(path):
        raise errors[path]

    monkeypatch.setattr(skipped, "check_ends", check)
    images, _ = start({"train": [ImageEntry(path, 0) for path in paths]}, max_bad="100%")
    images.check_headers(nothing)
    assert len(told.messages) == 9
    assert told.messages[-1] == "cannot be read for other reasons: 12; skipped.csv lists them all"
    assert all("\x1b" not in line for line in told.messages)


def test_the_first_bad_file_is_named_where_the_recipe_says_to_stop(listed):
    images, written = start(listed, bad_pictures="stop")
    with pytest.raises(DataError, match=r"^5 of 14 pictures cannot be read, first .*00\.png: empty file"):
        images.check_headers(nothing)
    assert len(written) == 5
    # Resumed, it stops again: nobody has said to go on.
    images, _ = start(listed, before=written, bad_pictures="stop")
    with pytest.raises(DataError, match=r"^5 of 14"):
        images.check_headers(nothing)


def test_what_a_resumed_run_knows_is_not_told_again(listed, told):
    images, written = start(listed)
    images.check_headers(nothing)
    told.clear()
    again, _ = start(listed, before=written)
    again.check_headers(nothing)
    again.add("train", ImageError(listed["train"][0].path, "empty file (0 bytes)"))
    assert told.messages == []
    assert again.counts() == {"train": 4, "validate": 1}


def test_more_than_the_share_is_too_many(listed):
    images, _ = start(listed, max_bad="35%")
    with pytest.raises(DataError) as caught:
        images.check_headers(nothing)
    first = listed["train"][0].path
    assert str(caught.value) == (
        f"5 of 14 pictures cannot be read (first: {first}: empty file (0 bytes)), more than the limit "
        f"(data.max_bad=35%); {Path('run', 'skipped.csv')} lists them all. Repair or remove them, continue "
        "without them by -o data.max_bad=36%, or make lists without them by hubtune split"
    )
    start(listed, max_bad="36%")[0].check_headers(nothing)


def test_more_than_fifty_are_too_many_of_any_number(tmp_path):
    examples = [ImageEntry(tmp_path / f"{number}.png", 0) for number in range(5_200)]
    images, _ = start({"train": examples}, max_bad="1%")
    for example in examples[:50]:
        images.add("train", ImageError(example.path, "empty file (0 bytes)"))
    with pytest.raises(
        DataError, match=r"^51 of 5200 .*max_bad=1% and at most 50\).* by -o data\.max_bad=2%,"
    ):
        images.add("train", ImageError(examples[50].path, "empty file (0 bytes)"))


def test_where_no_picture_is_there_the_lists_are_asked_about(listed):
    for examples in listed.values():
        for example in examples:
            example.path.unlink()
    images, _ = start(listed)
    with pytest.raises(DataError, match=r"^14 of 14 .*no such file\): have the pictures been moved\? "):
        images.check_headers(nothing)


def test_checking_stops_within_a_few_rows(listed, monkeypatch):
    looked = []
    monkeypatch.setattr(skipped, "check_ends", looked.append)
    images, _ = start(listed)

    def stop():
        raise Stopped

    with pytest.raises(Stopped):
        images.check_headers(stop)
    assert len(looked) <= 6  # of three rows, which are loaded ahead


@pytest.fixture
def split(tmp_path, draw_photos, run_here):
    """Lists of sixty pictures, of which three went bad afterwards."""
    pics = draw_photos(tmp_path / "pics", {"a": 30, "b": 30}, size=24)
    assert run_here("split", pics, "--val", 5, "--test", 5).returncode == 0
    victims = [
        tmp_path / line.split()[0] for line in (tmp_path / "train_list.txt").read_text().splitlines()[:2]
    ]
    victims.append(tmp_path / (tmp_path / "test_list.txt").read_text().split()[0])
    victims[0].write_bytes(b"")
    victims[1].unlink()
    victims[2].write_bytes(victims[2].read_bytes()[:-300])
    return SimpleNamespace(base=tmp_path, victims=victims)


def finetune(run_here, split, *more):
    options = ("module=digitnet", "strategy=frozen", f"run={split.base / 'run'}", *more)
    return run_here(
        "finetune", split.base, *(text for option in options for text in ("-o", option)), "--json"
    )


def test_the_command_stops_at_more_than_one_percent_and_goes_on_where_more_is_allowed(split, run_here):
    done = finetune(run_here, split)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("Error: 3 of 60 pictures cannot be read (first: ")
    assert "continue without them by -o data.max_bad=5%, or" in done.stderr
    assert "left out" not in done.stderr  # nothing goes on without them yet
    assert json.loads(done.stdout)["error"]["exit_code"] == 3
    expected = {
        ("train", str(split.victims[0]), "empty file (0 bytes)"),
        ("train", str(split.victims[1]), "no such file"),
        ("test", str(split.victims[2]), "damaged picture (the file ends too early)"),
    }
    with (split.base / "run" / "skipped.csv").open(newline="") as file:
        assert {tuple(row) for row in csv.reader(file)} - {("list", "path", "reason")} == expected

    done = finetune(run_here, split, "data.max_bad=5%")
    assert done.returncode == 0
    assert f"cannot be read (1 train): no such file: {split.victims[1]}\n" in done.stderr
    result = json.loads(done.stdout)
    assert result["test"]["count"] == 9
    assert result["skipped"] == {"train": 2, "validate": 0, "test": 1}


def test_the_command_stops_at_the_first_bad_picture_where_it_is_told_to(split, run_here):
    done = finetune(run_here, split, "data.bad_pictures=stop", "data.max_bad=50%")
    assert done.returncode == 3
    assert done.stderr.rstrip().splitlines()[-1].startswith("Error: 3 of 60 pictures cannot be read, first ")


def test_what_is_left_out_of_lists_made_for_the_run_counts_too(tmp_path, draw_photos, run_here):
    draw_photos(tmp_path / "pics", {"cat": 20, "dog": 20}, size=8)
    for number in range(2):
        (tmp_path / "pics" / "dog" / f"bad{number}.jpg").touch()
    options = ("finetune", "pics", "-o", "module=digitnet", "-o", "run=run", "--views", "1", "--json")
    done = run_here(*options, cwd=tmp_path)
    assert done.returncode == 3
    assert "Error: 2 of 42 pictures cannot be read (first: " in done.stderr
    assert "cannot be read (2 in no list): empty file (0 bytes): " in done.stderr
    assert (tmp_path / "run" / "skipped.csv").read_text().splitlines() == [
        "list,path,reason",
        "no list,pics/dog/bad0.jpg,empty file (0 bytes)",
        "no list,pics/dog/bad1.jpg,empty file (0 bytes)",
    ]
    done = run_here(*options, "-o", "data.max_bad=10%", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["skipped"]["no list"] == 2
    done = run_here(*options[:-1], "-o", "data.max_bad=10%", cwd=tmp_path)
    assert "\nSkipped:    2 in no list; " in done.stdout
