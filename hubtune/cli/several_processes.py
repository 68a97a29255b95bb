"""``hubtune finetune`` in several processes: started here, or by a launcher."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.training_inputs import own_recipe, read_or_default_recipe, settle_run
from hubtune.data.sources.naming import is_source
from hubtune.errors import HubtuneError, UsageError
from hubtune.ranks import Rank, current_rank
from hubtune.storage.address import is_bucket_address

if TYPE_CHECKING:
    from hubtune.runs.bucket_run import BucketRun

_GIVEN = "hubtune.given"  # key of the arguments as they were given


def processes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :class:`SeveralProcesses`, which the command's function does not get."""
    nproc = click.option(
        "--nproc",
        type=click.IntRange(1, 256),
        metavar="N",
        help="Train with N processes on this machine, which share the work: docs/several-machines.md.",
    )
    max_restarts = click.option(
        "--max-restarts",
        type=click.IntRange(0, 1000),
        default=2,
        metavar="N",
        help="With several processes: restarts from the last checkpoint if one of them dies; default 2.",
    )
    return nproc(max_restarts(command))


class SeveralProcesses(click.Command):
    """A command that trains, with several processes where it is asked to or a launcher has started them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_GIVEN] = [*args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        nproc, max_restarts = ctx.params.pop("nproc"), ctx.params.pop("max_restarts")
        rank = current_rank()
        if not rank.leads:
            return _follow(rank, trust_code=ctx.params["trust_code"])
        device = _device(ctx)
        count = processes_on(device, nproc, started=rank.size)
        if count > 1:
            ctx.exit(_start(ctx, count, device, max_restarts))
        if rank.size == 1:
            return super().invoke(ctx)
        from hubtune.log import show_on_stderr
        from hubtune.train.distributed.job import leading

        show_on_stderr()
        # A launcher that restarts a job repeats its command.
        ctx.params["resume"] = ctx.params["resume"] or rank.restarts > 0
        with leading(rank):
            return super().invoke(ctx)


def _device(ctx: click.Context) -> str:
    what, overrides = ctx.params["what"], ctx.params["overrides"]
    if ctx.params["device"] is not None:
        return str(ctx.params["device"])
    with suppress(HubtuneError):  # raised by the command itself, which knows more
        own = own_recipe(what, overrides, ctx.params["resume"])
        if own is not None or not is_source(what):
            return hubtune.load_recipe(own or what, overrides).train.device
    devices = [each.partition("=")[2] for each in overrides if each.startswith("train.device=")]
    return devices[-1] if devices else "auto"


def processes_on(device: str, nproc: int | None, *, started: int) -> int:
    """Return how many processes to start here; 1: this one does the work itself.

    ``started`` is how many a launcher has started.

    Raises:
        UsageError: if a launcher has started several already, or there is not a GPU for each.
    """
    gpus = len(device.split(",")) if device.startswith("gpu:") else 0
    if started > 1:
        if nproc is not None:
            raise UsageError("A launcher has started several processes already: remove --nproc")
        return 1
    count = nproc if nproc is not None else max(1, gpus)
    if gpus > 1 and count != gpus:
        raise UsageError(f"{device} names {gpus} GPUs, and --nproc {count} processes: give one of them")
    return count


def _start(ctx: click.Context, count: int, device: str, max_restarts: int) -> int:
    """Run this command in several processes, and return their exit code."""
    from hubtune.cli.main import run_and_exit
    from hubtune.log import show_on_stderr
    from hubtune.train.distributed.launch import run_processes

    show_on_stderr()
    arguments = child_arguments(ctx.meta[_GIVEN], ctx.params["what"], _run_place(ctx))
    return run_processes(run_and_exit, arguments, count, device, max_restarts=max_restarts)


def _run_place(ctx: click.Context) -> "BucketRun | None":
    """Return the place of the run that begins or is resumed; ``None`` for the many of a cross-validation."""
    from hubtune.runs.bucket_run import BucketRun, folder_for

    what, overrides, resume = (ctx.params[name] for name in ("what", "overrides", "resume"))
    if ctx.params["folds"] is not None:
        return None
    what = bring_dataset(what)  # here, not in each of the processes
    own = own_recipe(what, overrides, resume)
    if own is not None:
        recipe = hubtune.load_recipe(own, overrides)
    else:
        recipe = read_or_default_recipe(what, overrides, ctx.params["trust_code"])
    recipe, folder = settle_run(recipe, own, resume)
    place = recipe.run or ""
    if folder is None:
        folder = folder_for(place) if is_bucket_address(place) else Path(place)
    return BucketRun(place, folder)


def child_arguments(given: Sequence[str], what: str, run: "BucketRun | None") -> Callable[[bool], list[str]]:
    """Return what makes the arguments of a process, from those ``given``; with whether the job is restarted.

    ``run`` is the place of the run, or ``None`` if there is not one alone.
    """
    plain = _without(_without(given, "--nproc"), "--max-restarts")
    resume = [] if "--resume" in plain else ["--resume"]

    def arguments(restarted: bool) -> list[str]:
        from hubtune.runs.folder import is_run

        if run is None:
            return ["finetune", *plain, *(resume if restarted else [])]
        if not (restarted and is_run(run.folder)):
            return ["finetune", *plain, "-o", f"run={run.address}"]
        place = plain.index(what)
        return ["finetune", *plain[:place], str(run.folder), *plain[place + 1 :], *resume]

    return arguments


def _without(arguments: Sequence[str], option: str) -> list[str]:
    """Leave out an option with its value."""
    left, skips = [], False
    for argument in arguments:
        if not (skips or argument == option or argument.startswith(f"{option}=")):
            left.append(argument)
        skips = argument == option
    return left


def _follow(rank: Rank, *, trust_code: bool) -> None:
    """Do this process's share of the work of a job, as another rank than rank 0."""
    from functools import partial

    import paddle

    from hubtune.log import show_on_stderr
    from hubtune.train.distributed.follow import carry_out_orders
    from hubtune.train.distributed.job import follow

    show_on_stderr()
    paddle.disable_signal_handler()
    follow(rank, partial(carry_out_orders, trust_code=trust_code))
