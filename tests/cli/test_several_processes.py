"""How many processes `hubtune finetune` starts, and with which arguments."""

import pytest

from hubtune.cli.several_processes import child_arguments, processes_on
from hubtune.errors import UsageError
from hubtune.runs.bucket_run import BucketRun


@pytest.mark.parametrize(
    ("device", "nproc", "expected"),
    [("auto", None, 1), ("cpu", 4, 4), ("gpu:0,2", None, 2), ("gpu:0,2", 2, 2), ("gpu:1", None, 1)],
)
def test_the_number_is_that_of_the_gpus_or_as_given(device, nproc, expected):
    assert processes_on(device, nproc, started=1) == expected


def test_numbers_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="gpu:0,1 names 2 GPUs, and --nproc 3"):
        processes_on("gpu:0,1", 3, started=1)


def test_a_process_of_a_launcher_starts_no_others():
    assert processes_on("gpu:0,1", None, started=2) == 1
    with pytest.raises(UsageError, match="remove --nproc"):
        processes_on("cpu", 2, started=2)


def test_a_restarted_process_resumes_the_run_of_the_first(tmp_path):
    given = ["--nproc", "2", "r.yaml", "--max-restarts=1", "--json", "-o", "train.epochs=2"]
    run = tmp_path / "run"
    arguments = child_arguments(given, "r.yaml", BucketRun(str(run), run))
    first = ["finetune", "r.yaml", "--json", "-o", "train.epochs=2", "-o", f"run={run}"]
    assert arguments(False) == first
    assert arguments(True) == first, "it has died before there was a run"
    run.mkdir()
    (run / "recipe.yaml").touch()
    assert arguments(True) == ["finetune", str(run), "--json", "-o", "train.epochs=2", "--resume"]


def test_a_restarted_cross_validation_is_resumed():
    arguments = child_arguments(["r.yaml", "--folds", "3"], "r.yaml", None)
    assert arguments(True) == ["finetune", "r.yaml", "--folds", "3", "--resume"]
