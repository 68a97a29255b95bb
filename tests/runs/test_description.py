"""A run is only resumed with the recipe and the lists that it was started with."""

import json
import sys

import pytest
from support.notebooks import fake_notebook

import hubtune
from hubtune.runs.description import describe_machine


def test_another_recipe_and_other_lists_are_refused_and_other_threads_warned_of(run, told):
    folder = run().path
    with pytest.raises(hubtune.UsageError, match=r"train.epochs was 2 and is now 1"):
        run(epochs=1, resume=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["machine"]["paddle_threads"] = 77
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "result.json").unlink()
    run(resume=True, report=False, reference=False)  # which change no result
    assert any("not 77: the result may differ in the last digits" in message for message in told.messages)
    lines = (run.data / "train_list.txt").read_text().splitlines(keepends=True)
    (run.data / "train_list.txt").write_text("".join(lines[1:]))
    with pytest.raises(hubtune.ModelError, match=r"^The lists have changed since"):
        run(resume=True)


def test_a_run_goes_on_with_another_engine_unless_one_of_them_is_for_int8(run):
    run()
    run(engine="openvino", resume=True)
    with pytest.raises(hubtune.UsageError, match=r"train.engine was 'paddle' and is now 'openvino-int8'"):
        run(engine="openvino-int8", resume=True)


def test_a_notebooks_run_records_no_command(monkeypatch):
    assert describe_machine("cpu")["command"] == sys.argv
    fake_notebook(monkeypatch)
    assert describe_machine("cpu")["command"] is None
