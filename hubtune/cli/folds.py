"""``hubtune finetune --folds``: the result of a cross-validation."""

from typing import TYPE_CHECKING

import click

from hubtune.cli.console import figures, percent, say, shown

if TYPE_CHECKING:
    from hubtune.tuning.cross_validation import CrossValidation


def print_folds(result: "CrossValidation") -> None:
    """Print the accuracy of each fold, and of all."""
    for run, test in zip(result.runs, result.tests, strict=True):
        click.echo(f"{run.path.name + ':':<10}  {figures(test)}")
    low, high = result.interval
    click.echo(
        f"All folds:  {percent(result.accuracy)} ({result.right:,} of {result.count:,} right; 95 % interval "
        f"{100 * low:.1f}–{percent(high)})"
    )
    click.echo("            each picture was predicted once, by a model that has not seen it or its group")
    if result.independent < 0.99 * result.count:
        click.echo(
            f"            the interval is that of {result.independent:,.0f} independent pictures: those of "
            "one group count as one"
        )
    say(f"Runs: {shown(str(result.folder))}")
    say("These models are for measuring; train the model for use on all pictures, without --folds")
