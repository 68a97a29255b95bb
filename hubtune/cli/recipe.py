"""``hubtune recipe``: explains how a recipe trains each parameter."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.console import echo, print_json, print_table, say, shown
from hubtune.cli.lazy import CommandGroup
from hubtune.cli.options import COUNT, FILE, PATH, json_option, overrides_option, trust_option
from hubtune.cli.training_inputs import with_trust
from hubtune.errors import UsageError, writing
from hubtune.storage.atomic import write_atomically
from hubtune.text import escaped_lines

if TYPE_CHECKING:
    from hubtune.compat.translation import Translation
    from hubtune.train.explain import Explanation

_MOST_COLUMNS = 8  # of epochs in the table; of a longer run, a selection is shown


@click.group(cls=CommandGroup)
def command() -> None:
    """Recipes: those that come with hubtune, how they train each parameter, and from other programs' flags.

    \b
    hubtune recipe copy trashnet
    hubtune recipe explain recipes/idol5.yaml
    hubtune recipe from-flags -o recipe.yaml -- --model=ResNet50 --lr_strategy=cosine_decay
    """


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the recipes that come with hubtune."""
    from hubtune.recipe.shipped import shipped_recipes

    recipes = shipped_recipes()
    if as_json:
        print_json({"recipes": [{"name": recipe.name, "summary": recipe.summary} for recipe in recipes]})
        return
    print_table(
        [["recipe", "what it is"], *([recipe.name, recipe.summary] for recipe in recipes)], sides="<<"
    )
    echo("\nNext: hubtune recipe copy NAME")


@command.command("copy")
@click.argument("name")
@click.argument("folder", type=PATH, default=Path())
def copy_command(name: str, folder: Path) -> None:
    """Copy the recipe NAME into FOLDER/recipes, and the description of its data set into FOLDER/datasets.

    FOLDER is the current folder by default. Files that are there already stay.

    \b
    hubtune recipe copy trashnet
    """
    from hubtune.recipe.shipped import copy_recipe

    files = copy_recipe(name, folder)
    for file in files:
        echo(f"Written: {shown(file)}")
    echo(f"Next: hubtune finetune {shown(files[0])}")


@command.command("explain")
@click.argument("recipe", metavar="RECIPE", type=PATH)
@overrides_option
@click.option(
    "--pictures",
    "image_count",
    type=COUNT,
    help="Number of training pictures to assume if the recipe's lists are not here.",
)
@click.option("--all", "each", is_flag=True, help="A line per parameter, not per stage and rule.")
@click.option("--plot", type=PATH, help="Draw the rates to this PNG file.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the rate of each step.")
def explain_command(
    recipe: Path,
    overrides: tuple[str, ...],
    image_count: int | None,
    each: bool,
    plot: Path | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Show the rule that trains each parameter, and its learning rate in each epoch.

    \b
    hubtune recipe explain recipes/idol5.yaml --plot rates.png
    hubtune recipe explain my.yaml -o strategy=ulmfit --pictures 500
    """
    from hubtune.train.strategies import TRAINERS

    loaded = with_trust(hubtune.load_recipe(recipe, overrides), trust_code)
    if not TRAINERS[loaded.strategy.name].by_gradients:
        raise UsageError(
            f"Strategy {loaded.strategy.name} solves its head at once: it has no learning rates. "
            "Explain another one by -o strategy=default_finetune, for example"
        )
    from hubtune.runs.lists import dataset_of
    from hubtune.train.explain import draw_rates, explain

    count, classes = image_count, 2
    if count is None:
        dataset = dataset_of(loaded, complete=False)
        count, classes = len(dataset.examples("train")), len(dataset.label_list)
    explanation = explain(loaded, count, classes)
    if plot is not None:
        with writing(plot):
            write_atomically(plot, draw_rates(explanation))
        say(f"Rates drawn to {shown(plot)}")
    if as_json:
        print_json(explanation.as_dict())
    else:
        _print(explanation, each=each)


@command.command("from-flags")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.option("-o", "--output", type=FILE, help="The recipe to write; default: print it.")
def from_flags_command(flags: tuple[str, ...], output: Path | None) -> None:
    """Translate FLAGS of train.py, of PaddleCV's model zoo, into a recipe; obsolete ones are named.

    \b
    hubtune recipe from-flags -o recipe.yaml -- --model=ResNet50 --lr_strategy=piecewise_decay --lr=0.1
    """
    if not flags:
        raise UsageError("Give the flags after --, as in: hubtune recipe from-flags -- --model=ResNet50")
    print_translation(hubtune.translate_flags(flags), output)


def print_translation(translation: "Translation", output: Path | None) -> None:
    """Print or write a recipe made from another program's settings, and list what it leaves out."""
    if output is None:
        click.echo(escaped_lines(translation.as_yaml().removesuffix("\n")))
        return
    if os.path.lexists(output):
        raise UsageError(f"{shown(output)} is there already: name another file, or remove it")
    with writing(output):
        write_atomically(output, translation.as_yaml().encode())
    for entry in translation.left_out:
        echo(f"left out: {entry.describe()}")
    echo(f"recipe written to {shown(output)}")
    say(f"Next: hubtune finetune {shown(output)}")


def _print(explanation: "Explanation", *, each: bool) -> None:
    plan, length = explanation.plan, explanation.length
    clip = ", ".join(f"{key} {value:g}" for key, value in plan.clip.model_dump().items() if value)
    auto = " (in place of auto, which a test decides)" if explanation.is_auto else ""
    echo(f"optimiser {plan.optimizer.name}, rate {plan.rate:g}{auto}, schedule {plan.schedule.name}")
    echo(
        f"{length.epochs} epochs of {length.steps_per_epoch} steps of {length.batch_size} pictures; "
        f"gradients {'limited: ' + clip if clip else 'not limited'}"
    )
    epochs = [*range(length.epochs)]
    if length.epochs > _MOST_COLUMNS:
        epochs = sorted({round(n * (length.epochs - 1) / (_MOST_COLUMNS - 1)) for n in range(_MOST_COLUMNS)})
    rows = [["parameters", "rule", *(f"epoch {epoch + 1}" for epoch in epochs)]]
    groups = [[one] for one in explanation.parameters] if each else explanation.groups()
    for group in groups:
        first = group[0]
        settings = first.rule.model_dump(exclude_defaults=True)
        pattern = settings.pop("match")
        texts = [key if value is True else f"{key} {value:.3g}" for key, value in settings.items()]
        name = f"{first.stage}/{first.name}" if each else f"{first.stage} ({len(group)})"
        shown_rates = [f"{first.rates[epoch]:.3g}" if first.trained[epoch] else "frozen" for epoch in epochs]
        rows.append([name, f"{first.number}: {', '.join([pattern, *texts])}", *shown_rates])
    print_table(rows, sides="<<", rule=False)
    echo("Rates are those of an epoch's first step.")
