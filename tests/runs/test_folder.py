"""Run folders: where they may lie, which one a run gets, and who may use it."""

import pytest

import hubtune
from hubtune.runs.folder import RunFolder, newest_run, open_run


def test_a_second_run_goes_beside_the_first_and_a_finished_one_returns_its_result(run, tmp_path):
    first = run(resume=True)  # there is none yet: one starts
    assert first.path == tmp_path / "run"
    before = (first.path / "metrics.jsonl").read_bytes()
    assert run(resume=True) == first
    assert (first.path / "metrics.jsonl").read_bytes() == before
    second = run()
    assert (second.path.name, newest_run()) == ("run-2", second.path)
    assert run(resume=True) == second


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


def test_skipped_images_are_read_as_they_were_written(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_skipped() == []
    rows = [("train", 'a "quoted", picture.png', "no such file"), ("test", "\udcff.png", "empty file")]
    rows += [(list_name, "=1+1.png", "'=no'") for list_name in ("validate", "+2")]
    folder.write_skipped(rows)
    assert folder.read_skipped() == rows
    assert b",=" not in (tmp_path / "skipped.csv").read_bytes()
