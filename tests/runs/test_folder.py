"""Run folders: where they may lie, which one a run gets, and who may use it."""

import shutil
from pathlib import Path

import pytest
from support.callbacks import AtStep
from support.tiny_task import smallnet, train

import hubtune
from hubtune.errors import MachineError
from hubtune.log import logger
from hubtune.runs.folder import RunFolder, free_folder, newest_run, open_run, point_latest_at


def test_a_second_run_goes_beside_the_first_and_a_finished_one_returns_its_result(run, tmp_path):
    first = run(resume=True)  # there is none yet: one starts
    assert first.path == tmp_path / "run"
    before = (first.path / "metrics.jsonl").read_bytes()
    assert run(resume=True) == first
    assert (first.path / "metrics.jsonl").read_bytes() == before
    second = run()
    assert (second.path.name, newest_run()) == ("run-2", second.path)
    assert run(resume=True) == second


def test_who_works_inside_the_images_has_runs_above_them(tmp_path, monkeypatch):
    (tmp_path / "pics" / "cat").mkdir(parents=True)
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    (run / "recipe.yaml").touch()
    monkeypatch.chdir(tmp_path / "pics" / "cat")
    point_latest_at(Path("../../runs/x"))
    assert newest_run() == Path("../../runs/x")
    assert (tmp_path / "runs" / "latest").read_text() == "x\n"
    assert [path.name for path in (tmp_path / "pics").rglob("*")] == ["cat"]


def test_a_run_that_ended_before_it_began_leaves_its_folder_free(run, tmp_path):
    file = hubtune.ListDataset(run.data).examples("train")[0].path
    content = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(hubtune.DataError):
        run()
    with pytest.raises(hubtune.ModelError, match="has no model yet"):
        hubtune.load_model(tmp_path / "run")
    file.write_bytes(content)
    again = run()
    assert again.path == tmp_path / "run"
    assert (again.path / "skipped.csv").read_text() == "list,path,reason\n"


def test_a_folder_of_images_of_something_else_or_in_use_is_refused(run, tmp_path):
    for place in ("pics", "pics/run", "pics/a/run"):
        with pytest.raises(hubtune.UsageError, match=r"inside the pictures|not a run"):
            run(run.data / place)
    with pytest.raises(hubtune.UsageError, match="is not a run"):
        run(run.data)
    assert run(run.data / "runs" / "x").test.count == 4
    refused = pytest.raises(hubtune.LockedError, match=r"is in use by process \d+ on .* since")
    with open_run(tmp_path / "run"), refused:
        run()
    done = run()
    for options in ({}, {"resume": True}):
        with open_run(done.path), refused:
            run(**options)


@pytest.mark.parametrize("names", [["ckpt.meta", "notes.txt"], ["step_45", "best_model", "visualization"]])
def test_a_run_of_paddlehub_stays_as_it_is(tmp_path, told, names):
    for name in names:
        (tmp_path / "ckpt" / name).mkdir(parents=True)
    assert free_folder(tmp_path / "ckpt") == tmp_path / "ckpt-2"
    assert told.messages == [f"{tmp_path / 'ckpt'} is a run of PaddleHub 1.x, and stays as it is"]
    (tmp_path / "other" / "best_model").mkdir(parents=True)
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(hubtune.UsageError, match=r"is not a run: .*, in Python checkpoint_dir="):
        free_folder(tmp_path / "other")


def test_working_time_is_counted_over_all_processes_but_those_that_were_killed(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_description("", {"machine": {}})
    with folder.measure_time():
        pass
    assert 0 <= folder.read_manifest()["seconds"] < 60
    folder.write_description("", {**folder.read_manifest(), "seconds": 1000.0})
    with pytest.raises(KeyboardInterrupt), folder.measure_time():
        raise KeyboardInterrupt
    assert 1000 <= folder.read_manifest()["seconds"] < 1060
    with pytest.raises(KeyError), folder.measure_time():
        (tmp_path / "manifest.json").unlink()  # the error itself is not hidden
        raise KeyError


def test_the_folder_of_a_process_that_has_ended_is_taken_over_with_a_notice(tmp_path, caplog):
    (tmp_path / ".owner.json").write_text('{"pid": 7, "host": "h", "started": "yesterday"}')
    with caplog.at_level("INFO", "hubtune"), open_run(tmp_path):
        pass
    notice = f"{tmp_path} was left by process 7 on h since yesterday, which has ended: taken over"
    assert caplog.messages == [notice]
    assert not (tmp_path / ".owner.json").exists()


def test_skipped_images_are_read_as_they_were_written(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_skipped() == []
    rows = [("train", 'a "quoted", picture.png', "no such file"), ("test", "\udcff.png", "empty file")]
    rows += [(list_name, "=1+1.png", "'=no'") for list_name in ("validate", "+2")]
    folder.write_skipped(rows)
    assert folder.read_skipped() == rows
    assert b",=" not in (tmp_path / "skipped.csv").read_bytes()


@pytest.mark.parametrize("act", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("elsewhere"))])
def test_a_folder_that_is_gone_during_the_run_is_not_made_again(run, tmp_path, act):
    folder = tmp_path / "run"
    with pytest.raises(MachineError, match="was moved or removed while it was in use"):
        train(smallnet(), run.data, folder, callback=AtStep(2, lambda: act(folder)), save_ckpt_interval=1)
    assert not folder.exists()


def test_the_log_on_a_full_disk_prints_no_traceback(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "train.log").symlink_to("/dev/full")
    with open_run(folder):
        logger.info("does not fit")
    assert "Traceback" not in capsys.readouterr().err


def test_skipped_images_are_added_one_by_one_and_a_cut_last_line_is_left_out(tmp_path):
    with open_run(tmp_path / "run") as run:
        run.write_skipped([("train", "a.jpg", "empty file (0 bytes)")])
        run.append_skipped(("validate", "b,c.jpg", "=damaged"))
        entries = [("train", "a.jpg", "empty file (0 bytes)"), ("validate", "b,c.jpg", "=damaged")]
        assert run.read_skipped() == entries
        file = tmp_path / "run" / "skipped.csv"
        file.write_bytes(file.read_bytes() + b"train,d.jpg,dama")
        assert run.read_skipped() == entries
