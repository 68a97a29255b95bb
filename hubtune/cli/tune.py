"""``hubtune tune``."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import echo, print_json, print_table, say, shown
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.options import COUNT, json_option, overrides_option, source_options, trust_option
from hubtune.cli.training_inputs import (
    find_lists_for,
    make_lists,
    read_or_default_recipe,
    say_recipe,
    use_lists,
)
from hubtune.data.sources.naming import is_source
from hubtune.errors import UsageError
from hubtune.storage.address import check_path

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.tuning.search_result import SearchResult
    from hubtune.tuning.study import Trial


class _Time(click.ParamType):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", value.strip())
        seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
        if not seconds:
            self.fail(f"{value!r} is no time such as 90s, 30m or 2h", param, ctx)
        return seconds


@click.command()
@click.argument("what", metavar="RECIPE|PICTURES")
@overrides_option
@click.option(
    "--trials", type=COUNT, default=20, help="How many settings to try, those of earlier calls included."
)
@click.option("--timeout", "seconds", type=_Time(), default="30m", help="How long: 90s, 30m, 2h.")
@click.option(
    "--folds", type=click.IntRange(2, 20), default=3, help="Of the cross-validation on the training list."
)
@click.option(
    "--strategies",
    metavar="NAME,…",
    help="Try only these: frozen,from_frozen. Default: all that go with module and data.",
)
@click.option(
    "--storage",
    metavar="ADDRESS",
    help="Search from several processes: a database, postgresql://USER@HOST/NAME, mysql://… or sqlite:///FILE.",
)
@click.option(
    "--heartbeat",
    type=COUNT,
    default=60,
    metavar="SECONDS",
    help="With --storage: between signs of life; a worker silent for twice as long loses its trial.",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted search; start one if there is none.")
@trust_option
@source_options
@json_option
def command(
    what: str,
    overrides: tuple[str, ...],
    strategies: str | None,
    storage: str | None,
    heartbeat: int,
    trust_code: bool,
    settings: "SourceSettings",
    as_json: bool,
    **options: Any,
) -> None:
    """Search for settings that suit the data better than a RECIPE's own, or those chosen for PICTURES.

    PICTURES are what `hubtune finetune` takes: a folder, an archive, a table, an address.
    Strategy, learning rate and augmentation are varied, all else stays. Scores are accuracies by
    cross-validation on the training list; the validation list and the test list are not looked at. The best
    settings are written as a recipe, and nothing is trained with them yet.

    With --storage, the same command may run several times at once, on one machine or several.

    \b
    hubtune tune recipes/idol5.yaml
    hubtune tune pics/ -o train.epochs=5
    hubtune tune recipes/idol5.yaml --timeout 2h --trials 40 --resume
    hubtune tune recipes/idol5.yaml --storage postgresql://hub@db/tuning
    hubtune tune recipes/idol5.yaml --strategies from_frozen,default_finetune
    """
    what = bring_dataset(what)
    read = _recipe_for_source if is_source(what) else read_or_default_recipe
    recipe = read(what, overrides, trust_code, settings)
    check_path(recipe.run or "", "run, with tune")
    names = None if strategies is None else [name.strip() for name in strategies.split(",")]

    from hubtune.cli.progress import run_progress
    from hubtune.tuning.shared_storage import SharedStorage

    with run_progress() as callback:
        folder = Path(f"{recipe.run}-tune")
        shared = None if storage is None else SharedStorage(storage, heartbeat)
        result = hubtune.tune(recipe, folder, strategies=names, storage=shared, callback=callback, **options)
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result, " --trust-code" * trust_code)
    if result.stopped is not None:
        say("Stopped. Continue with the same command and --resume")
        click.get_current_context().exit(result.stopped)


def _recipe_for_source(
    source: str, overrides: Sequence[str], trust_code: bool, settings: "SourceSettings"
) -> "hubtune.Recipe":
    from hubtune.data.list_files import TRAIN_LIST
    from hubtune.runs.folder import LISTS, RECIPE_FILE, is_run

    if is_run(Path(source)):
        raise UsageError(f"{source} is a run: name its recipe, {Path(source) / RECIPE_FILE}")
    recipe = read_or_default_recipe(source, overrides, trust_code, settings)
    lists = Path(f"{recipe.run}-tune") / LISTS
    if (lists / TRAIN_LIST).exists():
        recipe = use_lists(recipe, lists)
    elif find_lists_for(source, settings) is None:
        recipe, _ = make_lists(recipe, source, lists, settings)
    say_recipe(recipe)
    return recipe


def _print(result: "SearchResult", trust: str) -> None:
    from hubtune.tuning.search_space import format_rate

    lines = [("rank", "score", "seconds", "strategy", "rate", "augment", "")]
    for rank, trial in enumerate(result.trials, 1):
        choice, rate = trial.choice, trial.choice.learning_rate
        place = str(rank) if trial.state == "done" else "–"
        given_up = f"given up after fold {len(trial.counts)}"
        state = {"pruned": given_up, "failed": "diverged", "running": "unfinished"}.get(trial.state)
        remarks = filter(None, [state, "the recipe" if choice == result.recipe else None])
        settings = (choice.strategy, "–" if rate is None else format_rate(rate), choice.augment or "–")
        lines.append((place, trial.score, f"{trial.seconds:,.0f}", *settings, ", ".join(remarks)))
    print_table(lines, sides=">>><<<<")
    if result.best_recipe is None:
        return
    best = result.trials[0]
    echo(f"Best: {best.choice.description}")
    for trial in result.trials:
        if trial.state == "done" and trial.choice == result.recipe:
            echo(f"      {_lead(best, trial)}")
    echo("      The best of several scores is optimistic. Measure it on a test list, which was not used:")
    echo(f"Next: hubtune finetune {shown(result.best_recipe)}{trust}")


def _lead(best: "Trial", recipe: "Trial") -> str:
    if best is recipe:
        return "which is the recipe as it is: no other settings were better"
    assert best.accuracy is not None and recipe.accuracy is not None
    assert best.standard_error is not None and recipe.standard_error is not None
    error = 100 * math.hypot(best.standard_error, recipe.standard_error)
    points = 100 * (best.accuracy - recipe.accuracy)
    return f"{points:.1f} points ahead of the recipe as it is, with a standard error of up to {error:.1f}"
