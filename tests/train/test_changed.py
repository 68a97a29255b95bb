"""Files that change while a run goes on, or before it is resumed, are told and named."""

import csv
import hashlib
import os

import numpy as np
import pytest

import hubtune
from hubtune.data.listing import ImageEntry
from hubtune.runs.callbacks import Callback
from hubtune.runs.signals import StopRequested
from hubtune.train.data_checks import CHANGED_FILE, STAT_RECORD, ChangedFiles


@pytest.fixture
def listed(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        path.write_bytes(path.name.encode())
    (tmp_path / "run").mkdir()
    return {
        "train": [ImageEntry(path, 0) for path in paths[:4]],
        "test": [ImageEntry(path, 0) for path in paths[4:]],
    }


def nothing():
    pass


def rows(run):
    with (run / CHANGED_FILE).open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_what_has_changed_is_told_once_and_named_with_its_sum(tmp_path, listed, told):
    run = tmp_path / "run"
    ChangedFiles(run, listed, 2).check(nothing)
    assert sorted(path.name for path in run.iterdir()) == [STAT_RECORD]
    resumed = ChangedFiles(run, listed, 2)
    resumed.check(nothing)
    assert (resumed.count, told.messages) == (0, [])

    size, gone, time = (listed["train"][0].path, listed["train"][2].path, listed["test"][1].path)
    size.write_bytes(b"other")
    gone.unlink()
    os.utime(time, ns=(1, 1))
    resumed = ChangedFiles(run, listed, 2)
    resumed.check(nothing)
    assert told.messages == [
        "3 files have another size or time than when the run began, and are used as they are now; "
        f"changed.csv lists all: {size}, {gone}, {time}"
    ]
    assert rows(run) == [
        ["test", str(time), hashlib.sha256(time.name.encode()).hexdigest()],
        ["train", str(size), hashlib.sha256(b"other").hexdigest()],
        ["train", str(gone), ""],
    ]
    resumed.check(nothing)  # as at the end of a run
    assert (resumed.count, len(told.messages)) == (3, 1)
    listed["test"][0].path.write_bytes(b"at last")
    resumed.check(nothing)
    assert (resumed.count, len(told.messages), len(rows(run))) == (4, 2, 4)


def test_names_are_few_and_harmless(tmp_path, listed, told):
    listed["train"][0] = ImageEntry(tmp_path / "\x1b[2J.png", 0)
    run = tmp_path / "run"
    ChangedFiles(run, listed, 2).check(nothing)
    for examples in listed.values():
        for example in examples:
            example.path.write_bytes(b"changed")
    ChangedFiles(run, listed, 2).check(nothing)
    assert "\\x1b[2J.png" in told.messages[0]
    assert told.messages[0].endswith(" and 3 more")


def test_a_damaged_record_is_made_anew(tmp_path, listed, told):
    run = tmp_path / "run"
    for content in (b"", b"rubbish", b"\x93NUMPY\x01\x00"):
        (run / STAT_RECORD).write_bytes(content)
        ChangedFiles(run, listed, 2).check(nothing)
        assert np.load(run / STAT_RECORD).shape == (6, 2)
    assert told.messages == []


def test_checking_can_be_stopped(tmp_path, listed):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ChangedFiles(tmp_path / "run", listed, 2).check(stop)
    assert not (tmp_path / "run" / STAT_RECORD).exists()


class Meddling(Callback):
    """Does something to the files after a step."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def stepped(self, step, total, **figures):
        if step == self.step:
            self.act()


@pytest.mark.filterwarnings("ignore")
def test_files_that_change_between_epochs_are_named_and_never_replaced(
    tmp_path, draw_photos, run_here, monkeypatch
):
    monkeypatch.setattr("hubtune.data.ram_cache.spare_memory", lambda: 0)  # each epoch reads the files
    pics = draw_photos(tmp_path / "pics", {"a": 10, "b": 10}, size=24)
    assert run_here("split", pics, "--val", 2).returncode == 0
    dataset = hubtune.ListDataset(tmp_path)
    gone, cut, other, fine = (dataset.examples("train")[index].path for index in (0, 5, 9, 12))

    def meddle():
        gone.unlink()
        cut.write_bytes(cut.read_bytes()[:-30])
        other.write_bytes(fine.read_bytes())

    config = hubtune.RunConfig(
        num_epoch=2, batch_size=16, checkpoint_dir=tmp_path / "run", max_bad="20%", workers=1
    )
    task = hubtune.ImageClassifierTask(hubtune.Module("smallnet", weights=None), dataset, config)
    run = task.finetune_and_eval(observer=Meddling(1, meddle))
    with (run.path / "skipped.csv").open(newline="") as file:
        assert sorted(tuple(row) for row in csv.reader(file)) == sorted(
            [
                ("list", "path", "reason"),
                ("train", str(gone), "no such file"),
                ("train", str(cut), "damaged picture (the file ends too early)"),
            ]
        )
    assert run.skipped == {"train": 2, "validate": 0, "test": 0}
    assert run.changed == 3
    assert {path for _, path, _ in rows(run.path)} == {str(gone), str(cut), str(other)}


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_tells_what_has_changed_since_it_was_stopped(tmp_path, draw_photos, run_here):
    pics = draw_photos(tmp_path / "pics", {"a": 10, "b": 10}, size=24)
    assert run_here("split", pics, "--val", 2).returncode == 0
    dataset = hubtune.ListDataset(tmp_path)
    config = hubtune.RunConfig(num_epoch=2, batch_size=16, checkpoint_dir=tmp_path / "run")
    task = hubtune.ImageClassifierTask(hubtune.Module("smallnet", weights=None), dataset, config)

    def stop():
        raise StopRequested

    with pytest.raises(hubtune.StoppedError):
        task.finetune_and_eval(observer=Meddling(1, stop))
    one, other = (dataset.examples("train")[index].path for index in (3, 4))
    one.write_bytes(other.read_bytes())
    run = task.finetune_and_eval(resume=True, observer=Callback())
    assert run.changed == 1
    assert (run.path / "train.log").read_text().count("have another size or time") == 1
    assert rows(run.path) == [["train", str(one), hashlib.sha256(other.read_bytes()).hexdigest()]]
    # Another run begins with the pictures as they are.
    assert task.finetune_and_eval(observer=Callback()).changed == 0
