"""Which process of a job this one is, by the variables of each launcher."""

import pytest

from hubtune.errors import UsageError
from hubtune.ranks import ALONE, alone, current_rank

MASTER = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "2900"}
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "job",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
PADDLE = {
    "PADDLE_TRAINER_ID": "1",
    "PADDLE_TRAINERS_NUM": "3",
    "PADDLE_TRAINER_ENDPOINTS": "10.0.0.1:6070,10.0.0.1:6071,10.0.0.2:6070",
}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}


@pytest.mark.parametrize(
    ("variables", "numbers", "place"),
    [
        ({**TORCHRUN, **MASTER}, (3, 4, 1, 2), ("10.0.0.1", 2900)),
        (PADDLE, (1, 3, 1, 2), ("10.0.0.1", 6070)),
        ({**PADDLE, "PADDLE_TRAINER_ID": "2"}, (2, 3, 0, 1), ("10.0.0.1", 6070)),
        ({**PADDLE, "PADDLE_MASTER": "10.0.0.9:77"}, (1, 3, 1, 2), ("10.0.0.9", 77)),
        (MPI, (1, 2, 1, 2), ("127.0.0.1", 29500)),
        ({**SLURM, **MASTER}, (5, 8, 1, 4), ("10.0.0.1", 2900)),
        ({"JOB_COMPLETION_INDEX": "1", "WORLD_SIZE": "2", **MASTER}, (1, 2, 0, 1), ("10.0.0.1", 2900)),
    ],
)
def test_rank_and_size_come_from_the_launcher(variables, numbers, place):
    rank = current_rank(variables)
    assert (rank.number, rank.size, rank.local, rank.local_size) == numbers
    assert (rank.address, rank.port) == place


def test_restarts_and_the_job_are_those_of_the_launcher():
    rank = current_rank({**TORCHRUN, **MASTER})
    assert (rank.job, rank.restarts, rank.leads) == ("job", 2, False)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "3"},
        # In a batch script that srun has not started.
        {name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"},
        # An array job of single processes.
        {"JOB_COMPLETION_INDEX": "4"},
    ],
)
def test_variables_of_a_single_process_are_not_a_job(variables):
    assert current_rank(variables) == ALONE


def test_a_process_can_train_by_itself_in_a_job():
    variables = {**TORCHRUN, **MASTER}
    with alone():
        assert current_rank(variables) == ALONE
    assert current_rank(variables).size == 4


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4"}, "MASTER_ADDR does not name the machine"),
        ({"RANK": "4", "WORLD_SIZE": "4", **MASTER}, "ranks go from 0 to 3"),
        ({"RANK": "a", "WORLD_SIZE": "4", **MASTER}, "RANK='a' is not a number"),
        ({"WORLD_SIZE": "4", **MASTER}, "RANK does not say which of them this is"),
        ({"RANK": "0", "WORLD_SIZE": "2", **MASTER, "MASTER_PORT": "99999"}, "99999 is not a port"),
    ],
)
def test_variables_that_cannot_be_are_refused(variables, message):
    with pytest.raises(UsageError, match=message):
        current_rank(variables)
