"""``hubtune model``: changes models without training."""

from pathlib import Path

import click

import hubtune
from hubtune.cli.console import echo, say, shown
from hubtune.cli.lazy import CommandGroup
from hubtune.cli.options import DIR, RUN
from hubtune.errors import UsageError
from hubtune.text import first_few


@click.group(cls=CommandGroup)
def command() -> None:
    """Change a model without training.

    \b
    hubtune model edit runs/pets -o models/pets --merge cat=pet --merge dog=pet
    """


@command.command("edit")
@click.argument("model", type=RUN)
@click.option("-o", "--output", required=True, type=DIR, help="The model folder to write.")
@click.option(
    "--rename", multiple=True, metavar="OLD=NEW", help="Give a class another name. May be repeated."
)
@click.option(
    "--merge",
    multiple=True,
    metavar="OLD=NEW",
    help="Make a class a part of another one, which may be new. May be repeated.",
)
@click.option("--drop", multiple=True, metavar="NAME", help="Remove a class. May be repeated.")
def edit_command(
    model: Path, output: Path, rename: tuple[str, ...], merge: tuple[str, ...], drop: tuple[str, ...]
) -> None:
    """Rename, merge and drop classes of MODEL, a run or a model folder, into another folder.

    The score of a merged class is the sum of those of its parts; without some classes, the scores of the
    others grow in proportion.

    \b
    hubtune model edit runs/pets -o models/pets --rename kat=cat --drop bird
    hubtune model edit runs/pets -o models/pets --merge cat=pet --merge dog=pet
    """
    if not (rename or merge or drop):
        raise UsageError("Say what to change: --rename OLD=NEW, --merge OLD=NEW or --drop NAME")
    renamed, merged = _pairs(rename, "--rename", model), _pairs(merge, "--merge", model)
    card = hubtune.edit_model(model, output, rename=renamed, merge=merged, drop=drop)
    echo(shown(f"{output}: {len(card.labels):,} classes, {first_few(card.labels, 5)}"))
    say(f"Next: hubtune evaluate {shown(output)} --on LIST, where the classes have their new names")


def _pairs(texts: tuple[str, ...], option: str, model: Path) -> dict[str, str]:
    pairs = {}
    for text in texts:
        old, new = _divide(text, model)
        if not (old and new):
            raise UsageError(f"{option} {text}: write OLD=NEW")
        if old in pairs:
            raise UsageError(f"{option} names {old} twice")
        pairs[old] = new
    return pairs


def _divide(text: str, model: Path) -> tuple[str, str]:
    """Divide ``OLD=NEW`` at the first ``=`` that is not a part of a class's name."""
    from hubtune.hub.model_card import read_card
    from hubtune.hub.starting_model import find_model

    parts = text.split("=")
    if len(parts) > 2 and (found := find_model(model)) is not None:
        labels = read_card(found).labels
        for number in range(1, len(parts)):
            if (old := "=".join(parts[:number])) in labels:
                return old, "=".join(parts[number:])
    old, _, new = text.partition("=")
    return old, new
