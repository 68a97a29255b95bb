"""``hubtune tune``."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.cli.options import COUNT, json_option, overrides_option
from hubtune.data.sources.naming import is_source
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.tuning.search_result import SearchResult
    from hubtune.tuning.study import Trial


class _Time(click.ParamType):
    """A time with its unit, in seconds."""

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
@click.option("--resume", is_flag=True, help="Continue an interrupted search; start one if there is none.")
@json_option
def command(
    what: str, overrides: tuple[str, ...], strategies: str | None, as_json: bool, **options: Any
) -> None:
    """Search for settings that suit the data better than a RECIPE's own, or those chosen for PICTURES.

    PICTURES are what `hubtune finetune` takes: a folder, an archive, a table, an address.
    Strategy, learning rate and augmentation are varied, all else stays. Scores are accuracies by
    cross-validation on the training list; the validation list and the test list are not looked at. The best
    settings are written as a recipe, and nothing is trained with them yet.

    \b
    hubtune tune recipes/idol5.yaml
    hubtune tune pics/ -o train.epochs=5
    hubtune tune recipes/idol5.yaml --timeout 2h --trials 40 --resume
    hubtune tune recipes/idol5.yaml --strategies from_frozen,default_finetune
    """
    from hubtune.train.defaults import read_recipe

    recipe = _recipe_for_source(what, [*overrides]) if is_source(what) else read_recipe(what, [*overrides])
    names = None if strategies is None else [name.strip() for name in strategies.split(",")]

    from hubtune.cli.progress import run_progress

    with run_progress() as callback:
        folder = Path(f"{recipe.run}-tune")
        result = hubtune.tune(recipe, folder, strategies=names, callback=callback, **options)
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)
    if result.stopped is not None:
        say("Stopped. Continue with the same command and --resume")
        click.get_current_context().exit(result.stopped)


def _recipe_for_source(source: str, overrides: list[str]) -> "hubtune.Recipe":
    """Return the default recipe for a source, on the lists that it has, or that are made for this search."""
    from hubtune.cli.training_inputs import make_lists, say_recipe, use_lists
    from hubtune.data.existing_lists import find_lists
    from hubtune.data.list_files import TRAIN_LIST
    from hubtune.runs.folder import LISTS, RECIPE_FILE, is_run
    from hubtune.train.defaults import default_recipe

    if is_run(Path(source)):
        raise UsageError(f"{source} is a run: name its recipe, {Path(source) / RECIPE_FILE}")
    recipe = default_recipe(source, overrides)
    lists = Path(f"{recipe.run}-tune") / LISTS
    if (lists / TRAIN_LIST).exists():
        recipe = use_lists(recipe, lists)
    elif find_lists(source) is None:
        recipe, _ = make_lists(recipe, source, lists)
    say_recipe(recipe)
    return recipe


def _print(result: "SearchResult") -> None:
    from hubtune.tuning.search_space import format_rate

    lines = [("rank", "score", "seconds", "strategy", "rate", "augment", "")]
    for rank, trial in enumerate(result.trials, 1):
        choice, rate = trial.choice, trial.choice.learning_rate
        place = str(rank) if trial.state == "done" else "–"
        given_up = f"given up after fold {len(trial.counts)}"
        state = {"pruned": given_up, "failed": "diverged", "running": "unfinished"}.get(trial.state)
        remarks = filter(None, [state, "the recipe" if choice == result.recipe else None])
        settings = (choice.strategy, "–" if rate is None else format_rate(rate), choice.augment or "–")
        lines.append((place, _score(trial), f"{trial.seconds:,.0f}", *settings, ", ".join(remarks)))
    print_table(lines, sides=">>><<<<")
    if result.best_recipe is None:
        return
    best = result.trials[0]
    click.echo(f"Best: {best.choice.description}")
    for trial in result.trials:
        if trial.state == "done" and trial.choice == result.recipe:
            click.echo(f"      {_lead(best, trial)}")
    click.echo(
        "      The best of several scores is optimistic. Measure it on a test list, which was not used:"
    )
    click.echo(f"Next: hubtune finetune {shown(result.best_recipe)}")


def _score(trial: "Trial") -> str:
    if trial.accuracy is None or trial.standard_error is None:
        return "–"
    return f"{100 * trial.accuracy:.1f} ± {100 * trial.standard_error:.1f} %"


def _lead(best: "Trial", recipe: "Trial") -> str:
    """How far the best is ahead of the recipe, on the same pictures."""
    if best is recipe:
        return "which is the recipe as it is: no other settings were better"
    assert best.accuracy is not None and recipe.accuracy is not None
    assert best.standard_error is not None and recipe.standard_error is not None
    error = 100 * math.hypot(best.standard_error, recipe.standard_error)
    points = 100 * (best.accuracy - recipe.accuracy)
    return f"{points:.1f} points ahead of the recipe as it is, with a standard error of up to {error:.1f}"
