"""Which task of an array job this process is, from the variables of the scheduler that started it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hubtune.errors import UsageError


@dataclass(frozen=True)
class ArrayTask:
    """A task of an array job.

    Attributes:
        index: its number, from 0.
        count: number of tasks.
        variable: the environment variable that the number is from.
    """

    index: int
    count: int
    variable: str


@dataclass(frozen=True)
class _Scheduler:
    """Names of a scheduler's environment variables; ``None`` for what it does not set."""

    index: str
    count: str | None = None
    first: str | None = None  # the number of the first task
    last: str | None = None
    step: str | None = None


_SCHEDULERS = (
    _Scheduler(
        "SLURM_ARRAY_TASK_ID",
        count="SLURM_ARRAY_TASK_COUNT",
        first="SLURM_ARRAY_TASK_MIN",
        step="SLURM_ARRAY_TASK_STEP",
    ),
    _Scheduler("JOB_COMPLETION_INDEX"),  # Kubernetes does not tell a pod how many completions there are
    _Scheduler("AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"),
    _Scheduler("BATCH_TASK_INDEX", count="BATCH_TASK_COUNT"),  # Google Cloud Batch
    _Scheduler("CLOUD_RUN_TASK_INDEX", count="CLOUD_RUN_TASK_COUNT"),
    _Scheduler("SGE_TASK_ID", first="SGE_TASK_FIRST", last="SGE_TASK_LAST", step="SGE_TASK_STEPSIZE"),
)


def array_task(environment: Mapping[str, str], count: int | None = None) -> ArrayTask:
    """Return the task that the environment variables name.

    Args:
        environment: variables, name → value.
        count: number of tasks, if a person gave it; the scheduler's number is then the index as it is, from
            0. ``None`` to take both from the scheduler, whose numbers may start elsewhere.

    Raises:
        UsageError: no scheduler has set its variables, or two have; the count is unknown; or the number is
            not one of a task.
    """
    # Grid Engine sets "undefined" in jobs that are not arrays.
    found = [each for each in _SCHEDULERS if environment.get(each.index, "undefined") != "undefined"]
    if not found:
        names = ", ".join(each.index for each in _SCHEDULERS)
        raise UsageError(f"auto takes the number from an array job, but none of {names} is set: write i/n")
    if len(found) > 1:
        names = " and ".join(each.index for each in found)
        raise UsageError(f"auto is ambiguous, as {names} are set: write i/n")
    scheduler = found[0]
    number = _number(environment, scheduler.index)
    assert number is not None
    if count is None:
        first = _number(environment, scheduler.first) or 0
        step = _number(environment, scheduler.step) or 1
        last, count = _number(environment, scheduler.last), _number(environment, scheduler.count)
        if count is None and last is not None:
            count = (last - first) // step + 1
        if count is None:
            raise UsageError(
                f"{scheduler.index} has the number of this task, but nothing says how many there are: "
                "write auto/n, such as auto/64"
            )
        number, rest = divmod(number - first, step)
        if rest:
            raise UsageError(f"{scheduler.index} does not fit {scheduler.first} and {scheduler.step}")
    if not 0 <= number < count:
        raise UsageError(
            f"{scheduler.index} gives the index {number}, which is not one of {count} tasks from 0 to "
            f"{count - 1}: number the tasks of the array from 0, without gaps"
        )
    return ArrayTask(number, count, scheduler.index)


def _number(environment: Mapping[str, str], name: str | None) -> int | None:
    """Return a variable's whole number; ``None`` if it has no name or is not set."""
    if name is None or not environment.get(name):
        return None
    try:
        return int(environment[name])
    except ValueError:
        raise UsageError(f"{name} is {environment[name]!r}, which is not a whole number") from None
