"""``hubtune recipe``: what a recipe comes to."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.answers import overrides_option, trust_option
from hubtune.cli.output import print_json, say, shown
from hubtune.errors import MachineError, UsageError
from hubtune.storage.atomic import write_atomically

if TYPE_CHECKING:
    from hubtune.recipe.schema import Recipe
    from hubtune.train.explain import Explained, Explanation

_MOST_COLUMNS = 8  # epochs shown in the table; of more, some


@click.group()
def command() -> None:
    """Recipes: what they come to.

    \b
    hubtune recipe explain recipes/idol5.yaml
    """


@command.command("explain")
@click.argument("recipe", metavar="RECIPE", type=click.Path(path_type=Path))
@overrides_option
@click.option(
    "--pictures",
    type=click.IntRange(1),
    help="Training pictures to reckon with, where the recipe's lists are not here.",
)
@click.option("--all", "each", is_flag=True, help="A line for each parameter, not for each stage and rule.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the rates to this PNG file.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the rate of each step.")
def explain_command(
    recipe: Path,
    overrides: tuple[str, ...],
    pictures: int | None,
    each: bool,
    plot: Path | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Show for each parameter the rule it is trained by, and its rate in each epoch.

    \b
    hubtune recipe explain recipes/idol5.yaml --plot rates.png
    hubtune recipe explain my.yaml -o strategy=ulmfit --pictures 500
    """
    from hubtune.recipe.load import load_recipe
    from hubtune.train.strategies import TRAINERS

    overrides = (*overrides, "module.trust_code=true") if trust_code else overrides
    loaded = load_recipe(recipe, list(overrides))
    if not TRAINERS[loaded.strategy.name].by_gradients:
        raise UsageError(
            f"Strategy {loaded.strategy.name} solves its head at once: it has no learning rates. "
            "Explain another one by -o strategy=default_finetune, for example"
        )
    count, classes = _counts(loaded, pictures)

    from hubtune.train.explain import draw_rates, explain

    explanation = explain(loaded, count, classes)
    if plot is not None:
        try:
            write_atomically(plot, draw_rates(explanation))
        except OSError as error:
            raise MachineError(f"{plot} cannot be written: {error.strerror or error}") from error
        say(f"Rates drawn to {shown(str(plot))}")
    if as_json:
        print_json(explanation.as_dict())
    else:
        _print(explanation, each=each)


def _counts(recipe: "Recipe", pictures: int | None) -> tuple[int, int]:
    """Training pictures and classes."""
    if pictures is not None:
        return pictures, 2
    from hubtune.task import dataset_of

    dataset = dataset_of(recipe, complete=False)
    return len(dataset.examples("train")), len(dataset.label_list)


def _print(explanation: "Explanation", *, each: bool) -> None:
    method, span = explanation.method, explanation.span
    clip = ", ".join(f"{key} {value:g}" for key, value in method.clip.model_dump().items() if value)
    auto = " (in place of auto, which a test decides)" if explanation.is_auto else ""
    click.echo(
        f"optimiser {method.optimizer.name}, rate {method.rate:g}{auto}, schedule {method.schedule.name}"
    )
    click.echo(
        f"{span.epochs} epochs of {span.steps_per_epoch} steps of {span.batch_size} pictures; "
        f"gradients {'limited: ' + clip if clip else 'not limited'}"
    )
    epochs = [*range(span.epochs)]
    if span.epochs > _MOST_COLUMNS:
        epochs = sorted({round(n * (span.epochs - 1) / (_MOST_COLUMNS - 1)) for n in range(_MOST_COLUMNS)})
    rows = [["parameters", "rule", *(f"epoch {epoch + 1}" for epoch in epochs)]]
    groups = [[one] for one in explanation.parameters] if each else explanation.groups()
    for group in groups:
        first = group[0]
        name = f"{first.stage}/{first.name}" if each else f"{first.stage} ({len(group)})"
        shown_rates = [f"{first.rates[epoch]:.3g}" if first.trained[epoch] else "frozen" for epoch in epochs]
        rows.append([name, f"{first.number}: {_said(first)}", *shown_rates])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo("Rates are those of an epoch's first step.")


def _said(one: "Explained") -> str:
    """A rule, without what is as it is without saying."""
    said = one.rule.model_dump(exclude_defaults=True)
    pattern = said.pop("match")
    words = [key if value is True else f"{key} {value:.3g}" for key, value in said.items()]
    return ", ".join([pattern, *words])
