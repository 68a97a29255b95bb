"""Which of a job's processes this one is, as the launcher that started it says in the environment."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from hubtune.errors import UsageError

_DEFAULT_PORT = 29_500  # torchrun's


@dataclass(frozen=True)
class Rank:
    """One of the processes that train a model together.

    Attributes:
        number: from 0; rank 0 leads.
        size: number of processes on all machines.
        local: number among the processes of this machine, from 0.
        local_size: number of processes on this machine.
        address: host or IP address of rank 0's machine.
        port: where rank 0 listens, or the first port after it that is free.
        job: identifies the job among those that might listen there.
        restarts: how often the launcher has restarted the job.
    """

    number: int = 0
    size: int = 1
    local: int = 0
    local_size: int = 1
    address: str = ""
    port: int = 0
    job: str = ""
    restarts: int = 0

    @property
    def leads(self) -> bool:
        return self.number == 0


ALONE = Rank()
"""The rank of a process that trains by itself."""


@dataclass(frozen=True)
class _Launcher:
    """The variables in which a launcher says rank, size, and the same on this machine."""

    name: str
    number: str
    size: str
    local: str = ""
    local_size: str = ""
    job: str = ""
    mark: str = ""  # a variable without which the others mean something else


# A process may have the variables of several: a scheduler starts a shell, which starts a launcher.
_LAUNCHERS = (
    _Launcher("paddle.distributed", "PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_RANK_IN_NODE"),
    _Launcher(
        *("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
        job="TORCHELASTIC_RUN_ID",
    ),
    _Launcher("Kubernetes", "JOB_COMPLETION_INDEX", "WORLD_SIZE"),
    _Launcher(
        *("mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        *("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
        job="PMIX_NAMESPACE",
    ),
    _Launcher("mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    # In a batch script that was not started by srun, the variables are there, too, and mean nothing.
    _Launcher(
        "srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", job="SLURM_JOB_ID", mark="SLURM_STEP_ID"
    ),
)


_is_alone = ContextVar("is_alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Let this process train by itself inside the block, whatever a launcher has started."""
    token = _is_alone.set(True)
    try:
        yield
    finally:
        _is_alone.reset(token)


def current_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """Return this process's rank; a single process if no launcher has set variables.

    Raises:
        UsageError: the variables contradict each other, or do not name the machine of rank 0.
    """
    for launcher in () if _is_alone.get() else _LAUNCHERS:
        if not {launcher.number, launcher.size} <= set(environment):
            continue
        if launcher.mark and launcher.mark not in environment:
            continue
        number, size = _number(environment, launcher.number), _number(environment, launcher.size)
        if size <= 1:
            continue
        if number >= size:
            raise UsageError(
                f"{launcher.number}={number} and {launcher.size}={size} cannot both be: ranks go from 0 to "
                f"{size - 1}"
            )
        local, local_size = _local(environment, launcher, number, size)
        address, port = _rendezvous(environment, launcher, local_size == size)
        if not 0 < port < 2**16:
            raise UsageError(f"{port} is not a port: set MASTER_PORT to a number from 1 to 65535")
        job = environment.get("HUBTUNE_JOB") or environment.get(launcher.job, "") or f"{address}:{port}"
        restarts = _number(environment, "TORCHELASTIC_RESTART_COUNT", 0)
        return Rank(number, size, local, local_size, address, port, job, restarts)
    is_asked_for = not _is_alone.get() and {"WORLD_SIZE", "MASTER_ADDR"} <= set(environment)
    if is_asked_for and "RANK" not in environment and (size := _number(environment, "WORLD_SIZE")) > 1:
        raise UsageError(
            f"WORLD_SIZE={size} is for several processes, and RANK does not say which of them this is: set "
            "it, or unset WORLD_SIZE"
        )
    return ALONE


def _local(environment: Mapping[str, str], launcher: _Launcher, number: int, size: int) -> tuple[int, int]:
    if launcher.name == "paddle.distributed":
        # Paddle's launcher names the machines of all ranks, in order.
        endpoints = environment.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")
        if len(endpoints) == size:
            hosts = [endpoint.rpartition(":")[0] for endpoint in endpoints]
            return hosts[:number].count(hosts[number]), hosts.count(hosts[number])
    local = _number(environment, launcher.local, 0)
    if launcher.name == "srun":
        counts = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
        alike = re.fullmatch(r"(\d+)(\(x\d+\))?", counts)
        return local, int(alike[1]) if alike else size if counts == str(size) else local + 1
    return local, _number(environment, launcher.local_size, 1)


def _rendezvous(environment: Mapping[str, str], launcher: _Launcher, one_machine: bool) -> tuple[str, int]:
    """Return the address of rank 0's machine, and the port."""
    endpoints = environment.get("PADDLE_MASTER") or environment.get("PADDLE_TRAINER_ENDPOINTS", "")
    first = endpoints.split(",")[0]
    if launcher.name == "paddle.distributed" and ":" in first:
        host, _, text = first.rpartition(":")
        return host, int(text) if text.isdecimal() else _DEFAULT_PORT
    port = _number(environment, "MASTER_PORT", _DEFAULT_PORT)
    if address := environment.get("MASTER_ADDR"):
        return address, port
    if one_machine:
        return "127.0.0.1", port
    raise UsageError(
        f"{launcher.name} has started several processes, and MASTER_ADDR does not name the machine of rank "
        "0: set it, for example export MASTER_ADDR=$(hostname -I | cut -d' ' -f1) before the launcher"
    )


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = environment.get(name, "")
    if not value and default is not None:
        return default
    if not value.isdecimal():
        raise UsageError(f"{name}={value!r} is not a number: let the launcher set it, or unset it")
    return int(value)
