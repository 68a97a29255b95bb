"""The task of an array job, from the variables of each scheduler."""

import pytest

from hubtune.errors import UsageError
from hubtune.runs.array_job import array_task


@pytest.mark.parametrize(
    ("variables", "count", "expected"),
    [
        ("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0", None, (5, 8)),
        ("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1", None, (4, 8)),
        (
            "SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=4",
            None,
            (2, 4),
        ),
        # Two failed tasks that are sent again: the count that is given holds.
        ("SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3", 8, (7, 8)),
        ("JOB_COMPLETION_INDEX=0", 64, (0, 64)),
        ("AWS_BATCH_JOB_ARRAY_INDEX=2 AWS_BATCH_JOB_ARRAY_SIZE=3", None, (2, 3)),
        ("BATCH_TASK_INDEX=1 BATCH_TASK_COUNT=2", None, (1, 2)),
        ("CLOUD_RUN_TASK_INDEX=1 CLOUD_RUN_TASK_COUNT=2", None, (1, 2)),
        ("SGE_TASK_ID=4 SGE_TASK_FIRST=2 SGE_TASK_LAST=6 SGE_TASK_STEPSIZE=2", None, (1, 3)),
        ("SGE_TASK_ID=undefined JOB_COMPLETION_INDEX=1", 2, (1, 2)),
    ],
)
def test_index_and_count_are_the_schedulers(variables, count, expected):
    task = array_task(dict(pair.split("=") for pair in variables.split()), count)
    assert (task.index, task.count) == expected
    assert task.variable in variables


@pytest.mark.parametrize(
    ("variables", "count", "message"),
    [
        ("", None, "none of SLURM_ARRAY_TASK_ID"),
        ("SGE_TASK_ID=undefined", 4, "none of SLURM_ARRAY_TASK_ID"),
        ("JOB_COMPLETION_INDEX=3", None, "write auto/n, such as auto/64"),
        ("JOB_COMPLETION_INDEX=4", 4, "gives the index 4, which is not one of 4 tasks from 0 to 3"),
        ("JOB_COMPLETION_INDEX=x", 4, "JOB_COMPLETION_INDEX is 'x', which is not a whole number"),
        ("JOB_COMPLETION_INDEX=1 SLURM_ARRAY_TASK_ID=1", 4, "SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX"),
        (
            "SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1",
            None,
            "not one of 3 tasks",
        ),
    ],
)
def test_what_is_not_a_task_is_refused(variables, count, message):
    with pytest.raises(UsageError, match=message):
        array_task(dict(pair.split("=") for pair in variables.split()), count)
