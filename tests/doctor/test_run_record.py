"""What a run recorded is read from its folder, also where files are damaged."""

import pytest
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train

from hubtune.doctor.run_record import read_run_record
from hubtune.runs.folder import open_run


@pytest.fixture
def run(tmp_path):
    data = draw_faint_split(tmp_path / "data", each=8, validate=2, test=2)
    return train(smallnet(), data, tmp_path / "run", log_interval=1)


def test_a_run_is_read_and_what_is_damaged_counts_as_missing(run):
    record = read_run_record(run.path)
    assert record.result["best_step"] == record.best_step == run.best_step
    assert record.measured == ("test", run.test)
    steps = [entry.step for entry in record.logged]
    assert steps == [*range(1, record.planned + 1)] and all(entry.loss > 0 for entry in record.logged)
    assert [entry.step for entry in record.evaluations][-1] == record.planned
    assert record.waited is not None and record.manifest["labels"]
    # A resumed run repeats steps.
    log = run.path / "train.log"
    log.write_text(
        log.read_text() + "[x] [   TRAIN] - step 1 / 9: loss=7.00000 acc=0.25000 [step/sec: 1.00]\n"
    )
    repeated = read_run_record(run.path)
    assert (repeated.logged[0].loss, repeated.planned) == (7.0, 9)
    assert [entry.step for entry in repeated.logged] == steps
    for name in ("result.json", "manifest.json", "train.log"):
        (run.path / name).write_bytes(b"\x00{")
    (run.path / "metrics.jsonl").write_text('{"list": "validate"}\n[]\n{')
    (run.path / "nan_report.json").write_text("{")
    damaged = read_run_record(run.path)
    assert (damaged.result, damaged.diverged, damaged.logged, damaged.evaluations) == (None, None, [], [])
    assert damaged.measured is None and damaged.waited is None and damaged.manifest == {}


def test_a_run_in_use_is_said_to_be(run):
    with open_run(run.path):
        assert "in use" in read_run_record(run.path).owner
    assert read_run_record(run.path).owner == ""
