"""``hubtune demo``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import echo, percent, print_json, say, shown
from hubtune.cli.options import DIR, json_option
from hubtune.errors import CheckFailedError

if TYPE_CHECKING:
    from hubtune.demo import DemoResult

_LITTLE = 0.03  # a difference within the 95 % intervals


@click.command()
@click.option(
    "--out",
    type=DIR,
    default="hubtune-demo",
    help="Output folder; the files of an earlier demo there are replaced.",
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """See hubtune work on embedded data, offline, in under a minute.

    A small network pretrained on the handwritten digits 0 to 6 learns 7, 8 and 9 from ten images each. The
    same network also learns them from scratch. The exit code is 8 if pretraining gains less than ten points.

    \b
    hubtune demo
    hubtune demo --out elsewhere --json
    """
    say("Loading Paddle")

    from hubtune.demo import run_demo
    from hubtune.log import logger
    from hubtune.runs.callbacks import Callback

    class Notices(Callback):
        def notice(self, text: str) -> None:
            say(text)

    # Each of the nine runs has its log in its folder; on the terminal they would be too much.
    propagate, logger.propagate = logger.propagate, False
    try:
        result = run_demo(out, callback=Notices())
    finally:
        logger.propagate = propagate
    if as_json:
        print_json(result.as_dict())
    else:
        _print_result(result)
    if not result.passed:
        raise CheckFailedError(
            "Fine-tuning should be ten points ahead of training from scratch, and is not: something is wrong "
            "with this installation. Please report it with the output of hubtune demo --json"
        )


def _print_result(result: "DemoResult") -> None:
    from hubtune.demo import mean_accuracy

    rows = (
        (f"fine-tuned, {result.epochs} epochs", result.finetuned),
        (f"from scratch, {result.epochs} epochs", result.scratch),
        (f"from scratch, {result.long_epochs} epochs", result.scratch_long),
    )
    finetuned, scratch, longer = (mean_accuracy(measured) for _, measured in rows)
    outcome = "catches up" if longer > finetuned - _LITTLE else "comes closer"
    echo(f"\nDigits 7, 8 and 9, learned from ten pictures of each; right answers on {result.count} others:\n")
    for what, measured in rows:
        each = ", ".join(f"{100 * metrics.accuracy:.1f}" for metrics in measured)
        within = max(high - low for low, high in (metrics.interval for metrics in measured)) / 2
        echo(
            f"  {what:<23} {percent(mean_accuracy(measured)):>7}   "
            f"({len(measured)} seeds: {each}; 95 % interval of each ±{100 * within:.1f})"
        )
    echo(
        f"""
The module knew only the digits 0 to 6, which puts it {100 * (finetuned - scratch):.0f} points ahead.
With more training, the network from scratch {outcome}: {percent(longer)} after {result.long_epochs} epochs.

See for yourself:     {shown(result.image)}
The fine-tuned model: {shown(result.model)}
Now your own photos, in a folder for each class:
  hubtune split YOUR_PICTURES/ --val 20
  hubtune finetune YOUR_PICTURES/"""
    )
