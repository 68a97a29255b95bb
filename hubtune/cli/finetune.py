"""``hubtune finetune``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import (
    echo,
    echo_titled,
    figures,
    print_json,
    say,
    shown,
)
from hubtune.cli.continued import Continuation, continuation_options
from hubtune.cli.folds import fold_number, print_folds, run_folds
from hubtune.cli.learning_curve_output import (
    check_curve,
    check_curve_data,
    measure_curve,
    print_curve,
)
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.options import json_option, overrides_option, source_options, trust_option
from hubtune.cli.several_processes import SeveralProcesses, processes_options
from hubtune.cli.training_inputs import (
    describe_lists,
    find_lists_for,
    make_lists,
    own_recipe,
    place_new_run,
    read_or_default_recipe,
    say_recipe,
    say_unused,
    settle_run,
    with_trust,
)
from hubtune.data.sources.naming import is_source
from hubtune.errors import UsageError
from hubtune.recipe.choices import ENGINES
from hubtune.storage.address import is_bucket_address
from hubtune.text import format_duration

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


@click.command(cls=SeveralProcesses)
@click.argument("what", metavar="RECIPE|PICTURES")
@overrides_option
@click.option(
    "--device",
    metavar="NAME",
    help="auto, cpu, gpu, gpu:0, or gpu:0,1 for a process on each; the same as -o train.device=NAME.",
)
@processes_options
@click.option(
    "--views",
    metavar="N",
    help="Under strategy frozen: auto, 1, 2 or fast; the same as -o strategy.views=N.",
)
@click.option("--fast", is_flag=True, help="Under strategy frozen, the quickest: the same as --views fast.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="What runs a network that is not being trained; the same as -o train.engine=NAME.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted run at the picture where it stopped; start one if there is none.",
)
@click.option(
    "--checkpoint",
    type=click.IntRange(0),
    metavar="STEP",
    help="With --resume: continue from RUN/checkpoints/step-STEP; newer checkpoints are removed.",
)
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    metavar="K",
    help="Cross-validation: train K times, each time without one part in K, and test on that part.",
)
@click.option(
    "--fold",
    metavar="I",
    help="With --folds K: only fold I, from 1, while others train theirs; auto: of the array job.",
)
@click.option(
    "--learning-curve",
    is_flag=True,
    help="With strategy frozen: also the accuracy with fewer training pictures, and what more would bring.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Choice(("visualdl", "tensorboard")),
    help="Write curves for a viewer into RUN/visualization. May be repeated.",
)
@continuation_options
@trust_option
@source_options
@json_option
def command(
    what: str,
    overrides: tuple[str, ...],
    device: str | None,
    views: str | None,
    fast: bool,
    engine: str | None,
    resume: bool,
    checkpoint: int | None,
    folds: int | None,
    fold: str | None,
    learning_curve: bool,
    logs: tuple[str, ...],
    continuation: Continuation | None,
    trust_code: bool,
    settings: "SourceSettings",
    as_json: bool,
) -> None:
    """Fine-tune a module as a RECIPE says, or on PICTURES: a folder, an archive, a table, an address.

    PICTURES may also be the name of a public data set (`hubtune data list`). For pictures, the lists that
    `hubtune split` made are used, or else a split is made; module and strategy are chosen for the machine,
    and printed. With --resume, this may also be a run's folder.

    \b
    hubtune finetune recipes/idol5.yaml
    hubtune finetune pics/ -o module.weights=mobilenet_v2.safetensors
    hubtune finetune pics/ --folds 5
    hubtune finetune pics/ --folds 5 --fold 2
    hubtune finetune pics/ --learning-curve
    hubtune finetune more_pics/ --from runs/pics
    hubtune finetune runs/idol5 --resume
    """
    if fold is not None and folds is None:
        raise UsageError("--fold goes with --folds K")
    if checkpoint is not None and (not resume or folds is not None):
        raise UsageError("--checkpoint goes with --resume, and not with --folds")
    writers: list[hubtune.Callback] = []
    if logs:  # opened before any work, because their packages may be missing
        from hubtune.train.curve_logger import CurveWriter

        writers += [CurveWriter(name) for name in dict.fromkeys(logs)]
    if fast and views not in (None, "fast"):
        raise UsageError(f"--fast is --views fast, and not --views {views}: give one of them")
    views = "fast" if fast else views
    what = bring_dataset(what)
    options = {"train.device": device, "strategy.views": views, "train.engine": engine}
    overrides += tuple(f"{key}={value}" for key, value in options.items() if value is not None)
    if folds is not None and continuation is not None:
        raise UsageError("--from goes without --folds: name the module in a recipe, module: RUN")
    if folds is not None:
        number = None if fold is None else fold_number(fold, folds)
        result = run_folds(what, folds, number, overrides, trust_code, writers, resume, settings)
        if as_json:
            print_json(result.as_dict())
        else:
            print_folds(result)
        return
    if continuation is not None:
        continuation.check(what)
    own = own_recipe(what, overrides, resume)
    if continuation is not None and own is None:
        recipe, taken_for = continuation.prepare(what, overrides, trust_code, settings)
    else:
        recipe, taken_for = _recipe(what, own, overrides, trust_code, settings)
    recipe, run_folder = settle_run(recipe, own, resume)
    if learning_curve:
        check_curve(recipe)

    from hubtune.cli.progress import run_progress
    from hubtune.data.unlisted import find_unlisted
    from hubtune.runs.callbacks import CallbackList
    from hubtune.train.strategies import TRAINERS

    start = time.monotonic()
    with run_progress() as callback:
        task = hubtune.ImageClassifierTask.from_recipe(recipe, complete=own is not None)
        if learning_curve:
            check_curve_data(task.dataset)
        remarks = [*task.dataset.remarks, *task.dataset.check_lists()]
        if not taken_for:
            taken_for = describe_lists(task.dataset)
            say(taken_for)
            if unlisted := find_unlisted(task.dataset, what):
                say(unlisted)
                remarks.append(unlisted)
        callbacks = CallbackList([callback, *writers])
        run = task.finetune_and_eval(resume=run_folder or False, checkpoint=checkpoint, callback=callbacks)
    curve = measure_curve(run, task) if learning_curve else None
    old = None if continuation is None else continuation.measure(run, trust_code)
    if as_json:
        more: dict[str, Any] = {"learning_curve": curve and curve.as_dict()} if learning_curve else {}
        if continuation is not None:
            more["old_classes"] = old and old.as_dict()
        print_json({**run.as_dict(), **more, "taken_for": taken_for, "remarks": remarks})
    else:
        _print_result(run, task, " --trust-code" if recipe.module.trust_code else "")
        if not TRAINERS[recipe.strategy.name].by_gradients and own is None and is_source(what):
            _print_choice(task, run, time.monotonic() - start)
        if continuation is not None:
            continuation.print_measured(old)
        if learning_curve:
            print_curve(curve)


def _recipe(
    what: str, own: Path | None, overrides: Sequence[str], trust_code: bool, settings: "SourceSettings"
) -> tuple["hubtune.Recipe", str]:
    """Return the recipe, and what a source without lists was taken for."""
    from hubtune.runs.folder import LISTS

    base = find_lists_for(what, settings) if is_source(what) else None
    if own is not None:
        recipe = hubtune.load_recipe(own, [*overrides, *settings.as_overrides()])
        return with_trust(recipe, trust_code), ""
    recipe = read_or_default_recipe(what, overrides, trust_code, settings)
    say_unused(recipe)
    if not is_source(what):
        return recipe, ""
    taken_for = ""
    if base is None:
        place = place_new_run(recipe.run or "")
        recipe, taken_for = make_lists(recipe, what, place.folder / LISTS, settings)
        recipe = recipe.model_copy(update={"run": place.address})
    say_recipe(recipe)
    return recipe, taken_for


def _print_choice(task: "hubtune.ImageClassifierTask", run: "hubtune.Run", duration: float) -> None:
    from hubtune.inference.engine_interface import INT8_ENGINE
    from hubtune.tuning.cost import estimate_costs

    # Which trains no network.
    engine = " -o train.engine=auto" if task.config.engine == INT8_ENGINE else ""
    echo(f"More:       with {task.config.epochs} epochs of training, which may or may not be better:")
    for estimate in estimate_costs(task, run, duration):
        cost = f"about {format_duration(estimate.seconds)}" if estimate.seconds is not None else None
        echo(f"            {cost or 'time not estimated'}: -o strategy={estimate.strategy}{engine}")


def _print_result(run: "hubtune.Run", task: "hubtune.ImageClassifierTask", trust: str) -> None:
    from hubtune.report.run_content import REPORT_FILE
    from hubtune.train.data_checks import list_title
    from hubtune.train.strategies import TRAINERS

    if run.validate is not None:
        echo_titled("Validation:", figures(run.validate), 11)
        if TRAINERS[task.config.strategy.name].chosen_on_validation:
            echo("            slightly optimistic, because the best model was chosen on it")
    if run.test is not None:
        echo_titled("Test:", figures(run.test), 11)
        if "test" in task.dataset.repeated:
            echo(f"            {shown(task.dataset.repeated['test'])}")
    if run.chance_level is not None:
        echo(f"            {run.chance_level}")
    if run.validate is None and run.test is None:
        echo("Accuracy:   not measured, as no validation or test list has a picture that can be read")
    if len(run.views) > 1 or run.cross_validated is not None:
        echo_titled("Views:", ", ".join(run.views), 11)
    if any(run.skipped.values()):
        lists = ", ".join(f"{count:,} {list_title(name)}" for name, count in run.skipped.items() if count)
        echo(f"Skipped:    {lists}; {shown(run.path / 'skipped.csv')} gives the reasons")
    if run.changed:
        echo(f"Changed:    {run.changed:,} after the run began: {shown(run.path / 'changed.csv')}")
    if task.config.report and (page := run.path / REPORT_FILE).is_file():
        echo(f"Report:     {shown(page)}")
    echo(f"Best model: {shown(run.best_model)}")
    if is_bucket_address(task.config.checkpoint_dir or ""):
        echo(f"Bucket:     {task.config.checkpoint_dir}")
    if run.chance_level is None:
        echo(f"Next:       hubtune predict PICTURES --model {shown(run.path)}{trust}")
    else:
        echo(f"Next:       hubtune doctor {shown(run.path)}  (what is wrong, and what to do)")
