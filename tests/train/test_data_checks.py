"""Images that cannot be read, and files that change, are named in few lines and never replaced."""

import csv
import hashlib
import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from support.callbacks import AtStep, request_stop
from support.commands import json_of, options
from support.split_folder import draw_split
from support.tiny_task import smallnet, train

import hubtune
from hubtune.data.images.decode import ImageError
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError
from hubtune.text import escape_cell
from hubtune.train import data_checks, step
from hubtune.train.data_checks import CHANGED_FILE, STAT_RECORD, BadImages, ChangedFiles


def nothing():
    pass


def read_rows(file):
    with file.open(newline="") as text:
        return sorted(tuple(row) for row in csv.reader(text))


def entries(paths):
    return [ImageEntry(path, 0) for path in paths]


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Eleven training and three validation images, of which five are empty; checked two at a time."""
    monkeypatch.setattr(data_checks, "_FILES_PER_TASK", 2)
    paths = [tmp_path / f"{number:02}.png" for number in range(14)]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    for bad in (0, 4, 5, 10, 11):
        paths[bad].write_bytes(b"")
    return {"train": entries(paths[:11]), "validate": entries(paths[11:])}


def start(listed, before=(), **config):
    written = []
    run = SimpleNamespace(path=Path("run"), read_skipped=lambda: list(before), write_skipped=written.extend)
    run.append_skipped = written.append
    config = SimpleNamespace(**{"workers": 2, "bad_pictures": "skip", "max_bad": "50%", **config})
    return BadImages(run, listed, config), written


def test_bad_files_are_recorded_once_and_a_reason_is_one_line_however_many_it_has(listed, told):
    _, gone, cut, *_ = (example.path for example in listed["train"])
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-25])
    images, written = start(listed)
    images.check_headers(nothing)
    empty, damaged = "empty file (0 bytes)", "damaged picture (the file ends too early)"
    assert [(name, path[-6:-4], reason) for name, path, reason in written] == [
        *(("train", "00", empty), ("train", "01", "no such file"), ("train", "02", damaged)),
        *(("train", number, empty) for number in ("04", "05", "10")),
        ("validate", "11", empty),
    ]
    first = gone.with_name("00.png")
    assert told.messages == [
        f"cannot be read (4 train, 1 validate): {empty}: {first}, {first.with_name('04.png')}, "
        f"{first.with_name('05.png')} and 2 more",
        f"cannot be read (1 train): no such file: {gone}",
        f"cannot be read (1 train): {damaged}: {cut}",
    ]
    told.clear()
    again, _ = start(listed, before=written)
    again.check_headers(nothing)
    again.add("train", ImageError(first, empty))
    assert told.messages == []
    assert again.counts() == images.counts() == {"train": 6, "validate": 1}


def test_a_run_stops_at_bad_files_if_it_must_and_says_what_to_do(listed):
    written = []
    for _ in range(2):  # resumed, it stops again: nobody has said to go on
        images, written = start(listed, before=written, bad_pictures="stop")
        with pytest.raises(DataError, match=r"^5 of 14 pictures cannot be read, first .*00\.png: empty file"):
            images.check_headers(nothing)
        assert len(written) == 5
    for example in (*listed["train"], *listed["validate"]):
        example.path.unlink()
    with pytest.raises(DataError, match=r"^14 of 14 .*no such file\): have the pictures been moved\? "):
        start(listed)[0].check_headers(nothing)
    many = entries(Path(f"{number}.png") for number in range(5_200))
    images, _ = start({"train": many}, max_bad="1%")
    limit = r"^51 of 5200 .*max_bad=1% and at most 50\).* by -o data\.max_bad=2%,"
    for number, example in enumerate(many[:51]):
        with pytest.raises(DataError, match=limit) if number == 50 else nullcontext():
            images.add("train", ImageError(example.path, "empty file (0 bytes)"))


def test_changes_are_reported_once_with_the_new_sha256(tmp_path, listed, told):
    run, hostile = tmp_path / "run", tmp_path / "\x1b[2J.png"
    run.mkdir()
    listed["train"].append(ImageEntry(hostile, 0))
    for content in (b"", b"rubbish", b"\x93NUMPY\x01\x00"):  # a damaged record is written again
        (run / STAT_RECORD).write_bytes(content)
        ChangedFiles(run, listed, 2).check(nothing)
        assert sorted(path.name for path in run.iterdir()) == [STAT_RECORD]
    assert told.messages == []
    size, gone, *_ = (example.path for example in listed["train"])
    time = listed["validate"][2].path
    size.write_bytes(b"other")
    gone.unlink()
    hostile.touch()
    os.utime(time, ns=(1, 1))
    checks = ChangedFiles(run, listed, 2)
    checks.check(nothing)
    checks.check(nothing)  # again at the end of a run
    assert told.messages == [
        "4 files have another size or time than when the run began, and are used as they are now; "
        f"changed.csv lists all: {size}, {gone}, {str(hostile).replace(chr(27), chr(92) + 'x1b')} and 1 more"
    ]
    assert set(read_rows(run / CHANGED_FILE)) == {
        ("list", "path", "sha256"),
        ("train", str(size), hashlib.sha256(b"other").hexdigest()),
        ("train", str(gone), ""),
        ("train", escape_cell(str(hostile)), hashlib.sha256().hexdigest()),
        ("validate", str(time), hashlib.sha256(time.read_bytes()).hexdigest()),
    }


def paths_of(data, name):
    return [example.path for example in hubtune.ListDataset(data).examples(name)]


@pytest.mark.filterwarnings("ignore")
def test_bad_files_and_files_that_change_between_epochs_are_named_and_never_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("hubtune.data.ram_cache.spare_memory", lambda: 0)  # each epoch reads the files
    sizes, run_by_shape = [], step.run_by_shape
    monkeypatch.setattr(
        step, "run_by_shape", lambda net, arrays: (sizes.append(len(arrays)), run_by_shape(net, arrays))[1]
    )
    data = draw_split(tmp_path, {"a": 10, "b": 10}, validate=2, test=0, size=24)
    gone, bad, cut, other, fine = (paths_of(data, "train")[index] for index in (0, 3, 5, 9, 12))
    bad.write_bytes(bad.read_bytes()[:-30])

    def meddle():
        gone.unlink()
        cut.write_bytes(cut.read_bytes()[:-30])
        other.write_bytes(fine.read_bytes())

    settings = {"batch_size": 16, "max_bad": "20%", "workers": 1}
    run = train(smallnet(), data, tmp_path / "run", callback=AtStep(1, meddle), **settings)
    assert sizes == [15, 13]
    assert set(read_rows(run.path / "skipped.csv")[1:]) == {
        ("train", str(gone), "no such file"),
        *(("train", str(path), "damaged picture (the file ends too early)") for path in (bad, cut)),
    }
    assert run.skipped == {"train": 3, "validate": 0, "test": 0}
    assert run.changed == 3
    changed = {path for _, path, _ in read_rows(run.path / CHANGED_FILE)} - {"path"}
    assert changed == {str(gone), str(cut), str(other)}


def test_a_resumed_run_reports_changes_since_it_was_stopped(run, data):
    with pytest.raises(hubtune.StoppedError):
        run(callback=AtStep(1, request_stop))
    one, other = paths_of(data, "train")[3:5]
    one.write_bytes(other.read_bytes())
    resumed = run(resume=True)
    assert resumed.changed == 1
    assert (resumed.path / "train.log").read_text().count("have another size or time") == 1
    sha256 = hashlib.sha256(other.read_bytes()).hexdigest()
    assert read_rows(resumed.path / CHANGED_FILE)[1:] == [("train", str(one), sha256)]
    assert run().changed == 0  # another run begins with the images as they are


FROZEN = options("module=digitnet", "strategy=frozen", "run=run")


def test_the_command_stops_above_one_percent_and_continues_if_more_is_allowed(tmp_path, run_here):
    data = draw_split(tmp_path, {"a": 30, "b": 30}, validate=5, test=5, size=24)
    damaged = [*paths_of(data, "train")[:2], paths_of(data, "test")[0]]
    damaged[0].write_bytes(b"")
    damaged[1].unlink()
    damaged[2].write_bytes(damaged[2].read_bytes()[:-300])
    done = run_here("finetune", tmp_path, *FROZEN, "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.rstrip().splitlines()[-1] == (
        f"Error: 3 of 60 pictures cannot be read (first: {damaged[0]}: empty file (0 bytes)), more than the "
        "limit (data.max_bad=1%); run/skipped.csv lists them all. Repair or remove them, continue without "
        "them by -o data.max_bad=5%, or make lists without them by hubtune split"
    )
    assert json.loads(done.stdout)["error"]["exit_code"] == 3
    reasons = ("empty file (0 bytes)", "no such file", "damaged picture (the file ends too early)")
    assert set(read_rows(tmp_path / "run" / "skipped.csv")) == {
        ("list", "path", "reason"),
        *((name, str(p), r) for name, p, r in zip(("train", "train", "test"), damaged, reasons, strict=True)),
    }
    done = run_here("finetune", tmp_path, *FROZEN, "-o", "data.max_bad=5%", "--json", cwd=tmp_path)
    assert f"cannot be read (1 train): no such file: {damaged[1]}\n" in done.stderr
    result = json_of(done)
    assert (result["test"]["count"], result["test"]["unreadable"]) == (9, 1)
    assert result["skipped"] == {"train": 2, "validate": 0, "test": 1}


def test_files_left_out_of_lists_that_were_made_for_the_run_count_too(tmp_path, draw_photos, run_here):
    draw_photos(tmp_path / "pics", {"cat": 20, "dog": 20}, size=8)
    for number in range(2):
        (tmp_path / "pics" / "dog" / f"bad{number}.jpg").touch()
    command = ("finetune", "pics", *FROZEN, "--views", "1")
    done = run_here(*command, cwd=tmp_path)
    assert done.returncode == 3
    assert "Error: 2 of 42 pictures cannot be read (first: " in done.stderr
    assert "cannot be read (2 in no list): empty file (0 bytes): " in done.stderr
    assert read_rows(tmp_path / "run" / "skipped.csv")[1:] == [
        ("no list", f"pics/dog/bad{number}.jpg", "empty file (0 bytes)") for number in range(2)
    ]
    done = run_here(*command, "-o", "data.max_bad=10%", cwd=tmp_path)
    assert "\nSkipped:    2 in no list; " in done.stdout
    assert json.loads((tmp_path / "run" / "result.json").read_text())["skipped"]["no list"] == 2


def test_on_a_network_disk_a_sample_is_checked_and_the_log_has_it(listed, told, monkeypatch, tmp_path):
    monkeypatch.setattr(data_checks, "_MOST_REMOTE", 5)
    monkeypatch.setattr(data_checks, "network_disk", lambda path: "nfs4")
    images, written = start(listed)
    images.check_headers(nothing)
    assert [Path(path).name for _, path, _ in written] == ["00.png"]  # of 00, 03, 06, 09 and 12
    assert "on a network disk (nfs4): only one in 3 of 14 has been checked" in told.text
    changed = ChangedFiles(tmp_path, listed, 2)
    changed.check(nothing)
    listed["train"][1].path.write_bytes(b"other")  # not in the sample
    listed["train"][3].path.write_bytes(b"other")
    changed.check(nothing)
    assert changed.count == 1
