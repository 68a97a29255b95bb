"""``hubtune compare``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import echo, percent, print_json, print_table, say, share_or_dash, shown
from hubtune.cli.inputs import bring_model
from hubtune.cli.options import RUN, engine_options, json_option, source_options, trust_option
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.run_comparison import RunComparison


@click.command()
@click.argument("runs", metavar="RUN RUN…", nargs=-1, required=True, type=RUN)
@click.option(
    "--on",
    metavar="LIST",
    help="validate, test, train, a list file, or a folder with a folder per class; default: the runs' test "
    "list, else validation.",
)
@engine_options
@trust_option
@source_options
@json_option
def command(
    runs: tuple[Path | str, ...],
    on: str | None,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    settings: "SourceSettings",
    as_json: bool,
) -> None:
    """Compare the models of two or more runs on one list: do these pictures show a difference?

    Each model is measured on the same pictures. A difference has its 95 % interval (a paired bootstrap) and
    the exact test of McNemar, with Holm's correction for three runs or more. Runs whose lists differ are
    refused, unless --on names a list.

    \b
    hubtune compare runs/frozen runs/last_stage
    hubtune compare runs/a runs/b runs/c --on other/test_list.txt
    """
    from hubtune.cli.progress import counting_bar
    from hubtune.hardware.device import select_device
    from hubtune.inference.run_comparison import compare_runs

    show_on_stderr()
    select_device(device)
    with counting_bar("measuring") as advance:
        found = compare_runs(
            [bring_model(run) for run in runs],
            on=on,
            settings=settings,
            batch_size=batch_size,
            engine=engine,
            trust_code=trust_code,
            progress=advance,
        )
    if as_json:
        print_json(found.as_dict())
        return
    _print_comparison(found)
    for remark in found.remarks:
        say(shown(remark))
    if found.list_name == "train":
        say("The models were trained on these pictures: the figures say nothing about new ones.")
    if found.list_name == "validate":
        say("Slightly optimistic: models may have been chosen on this list.")


def _print_comparison(found: "RunComparison") -> None:
    count = len(found.evaluations[0].answers.paths)
    echo(f"{shown(found.list_file)}: {count:,} pictures")
    echo("")
    multi_label = any(evaluation.mean_ap is not None for evaluation in found.evaluations)
    rows = [
        (
            name,
            *([share_or_dash(evaluation.mean_ap)] if multi_label else []),
            percent(evaluation.accuracy) if evaluation.count else "–",
            f"{100 * evaluation.interval[0]:.1f}–{percent(evaluation.interval[1])}",
            f"{int(evaluation.answers.correct.sum()):,}",
        )
        for name, evaluation in zip(found.names, found.evaluations, strict=True)
    ]
    heading = ("mAP", "all labels right") if multi_label else ("accuracy",)
    print_table([("run", *heading, "95 % interval", "right"), *rows])
    for one, two, pair in found.pairs:
        first, second = found.names[one], found.names[two]
        echo("")
        echo(f"{shown(first)} against {shown(second)}: {pair.describe(shown(first), shown(second))}")
        if pair.count:
            difference, low, high = (100 * share for share in (pair.difference, *pair.interval))
            echo(f"  difference {difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})")
            echo(f"  only the first right: {pair.only_first:,}; only the second: {pair.only_second:,}")
        if pair.unreadable:
            echo(f"  left out: {pair.unreadable:,} that one of them cannot read")
