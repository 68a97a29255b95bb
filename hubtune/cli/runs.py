"""``hubtune runs``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import percent, print_json, print_table, say, share_or_dash, shown
from hubtune.cli.options import DIR, json_option
from hubtune.errors import UsageError
from hubtune.text import format_duration

if TYPE_CHECKING:
    from hubtune import Metrics
    from hubtune.runs.listing import RunSummary

_SORT_KEYS = ("started", "accuracy", "seconds", "images", "module", "strategy", "path")


@click.command()
@click.argument("folder", required=False, type=DIR)
@click.option("--sort", type=click.Choice(_SORT_KEYS), default="started", help="Order of the lines.")
@json_option
def command(folder: Path | None, sort: str, as_json: bool) -> None:
    """List the runs in FOLDER, the newest first: module, strategy, pictures, accuracies, time.

    FOLDER is runs by default. Accuracies have their 95 % interval; accuracies of runs on different lists do
    not compare: `hubtune compare` compares runs on one list.

    \b
    hubtune runs
    hubtune runs --sort accuracy
    """
    from hubtune.runs.folder import LATEST
    from hubtune.runs.listing import list_runs

    folder = folder or LATEST.parent
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: name the folder of your runs")
    runs = list_runs(folder, sort=sort)
    if as_json:
        print_json({"folder": str(folder), "runs": [run.as_dict() for run in runs]})
    elif runs:
        heading = ("run", "started", "module", "strategy", "pictures", "validation", "test", "time")
        print_table([heading, *(_row(run, folder) for run in runs)], sides="<<<<>>>>")
    else:
        say(f"There is no run in {shown(folder)}: start one with hubtune finetune")
    for run in runs:
        if run.problem and not as_json:
            say(f"{shown(run.path)}: {run.problem}")


def _row(run: "RunSummary", folder: Path) -> tuple[str, ...]:
    name = run.path.relative_to(folder).as_posix()
    state = "damaged" if run.problem else "not finished"
    return (
        run.path.name if name == "." else name,
        (run.started or "–")[:16].replace("T", " "),
        run.module or "–",
        run.strategy or "–",
        "–" if run.images is None else f"{run.images:,}",
        _accuracy(run.validate),
        _accuracy(run.test),
        state if run.seconds is None else format_duration(run.seconds),
    )


def _accuracy(metrics: "Metrics | None") -> str:
    if metrics is None:
        return "–"
    if metrics.mean_ap is not None:
        return f"mAP {share_or_dash(metrics.mean_ap)}"
    low, high = metrics.interval
    return f"{percent(metrics.accuracy)} ({100 * low:.0f}–{100 * high:.0f})"
