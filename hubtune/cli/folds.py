"""Cross-validation for ``hubtune finetune --folds``, or one fold of it, and its figures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.console import accuracy_figures, echo, figures, percent, say, shown
from hubtune.cli.training_inputs import read_or_default_recipe, say_unused
from hubtune.data.sources.naming import is_source
from hubtune.errors import UsageError
from hubtune.storage.address import check_path

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.tuning.cross_validation import CrossValidation


def run_folds(
    what: str,
    count: int,
    number: int | None,
    overrides: Sequence[str],
    trust_code: bool,
    writers: "list[hubtune.Callback]",
    resume: bool,
    settings: "SourceSettings",
) -> "CrossValidation | hubtune.Run":
    """Run a cross-validation of ``count`` folds, or the fold of a number, from 1; arguments are options."""
    from hubtune.cli.progress import run_progress, working_bar
    from hubtune.cli.split_output import print_remarks
    from hubtune.data.existing_lists import folds_of_lists, folds_of_source
    from hubtune.errors import StoppedError
    from hubtune.runs.callbacks import CallbackList
    from hubtune.runs.folder import is_run
    from hubtune.runs.lists import dataset_of
    from hubtune.tuning.cross_validation import train_fold

    if is_run(Path(what)):
        raise UsageError(f"{what} is a run: --folds takes a recipe or pictures")
    recipe = read_or_default_recipe(what, overrides, trust_code, settings)
    check_path(recipe.run or "", "run, with --folds")
    say_unused(recipe)
    seed = recipe.train.seed
    with working_bar("opening") as progress:
        if is_source(what):
            folds, pool = folds_of_source(what, count, seed=seed, settings=settings, progress=progress)
        else:
            dataset = dataset_of(recipe, complete=False)
            folds, pool = folds_of_lists(dataset, count, seed=seed, progress=progress)
    print_remarks(pool, "not in any fold")
    say(f"Module: {recipe.module.name}; strategy: {recipe.strategy.name}; {count} folds")
    try:
        with run_progress() as callback:
            folder, callbacks = f"{recipe.run}-folds", CallbackList([callback, *writers])
            if number is not None:
                return train_fold(recipe, number, folds, folder, callback=callbacks)
            return hubtune.cross_validate(recipe, folds, folder, resume=resume, callback=callbacks)
    except StoppedError as error:
        say("Stopped. Continue with the same command and --resume")
        click.get_current_context().exit(error.exit_code)


def fold_number(text: str, folds: int) -> int:
    """Return the number of a fold, from 1, that the option ``--fold`` names.

    Raises:
        UsageError: it is not one of the folds, or no array job gives its number.
    """
    if text == "auto":
        from hubtune.runs.array_job import array_task

        task = array_task(os.environ, folds)
        say(f"Fold {task.index + 1} of {folds}, from {task.variable}")
        return task.index + 1
    if not text.isdecimal() or not 1 <= int(text) <= folds:
        raise UsageError(f"--fold {text}: write a number from 1 to {folds}, or auto in an array job")
    return int(text)


def _print_fold(run: "hubtune.Run") -> None:
    echo(f"{run.path.name + ':':<10}  {'no readable picture' if run.test is None else figures(run.test)}")
    say(f"Run: {shown(run.path)}. When all folds have finished, the same command without --fold joins them")


def print_folds(result: "CrossValidation | hubtune.Run") -> None:
    """Print the figures of a cross-validation, or of the run of one fold."""
    if isinstance(result, hubtune.Run):
        _print_fold(result)
        return
    for run, test in zip(result.runs, result.tests, strict=True):
        echo(f"{run.path.name + ':':<10}  {figures(test)}")
    pooled = accuracy_figures(result.accuracy, result.right, result.count, result.interval)
    if result.mean_ap is not None:
        pooled = f"mAP {percent(result.mean_ap)} on average; all labels right {pooled}"
    echo(f"All folds:  {pooled}")
    echo("            each picture was predicted once, by a model that has not seen it or its group")
    if result.independent < 0.99 * result.count:
        echo(
            f"            the interval is that of {result.independent:,.0f} independent pictures: those of "
            "one group count as one"
        )
    say(f"Runs: {shown(result.folder)}")
    say("These models are for measuring; train the model for use on all pictures, without --folds")
