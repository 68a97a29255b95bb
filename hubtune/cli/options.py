"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hubtune.errors import UsageError
from hubtune.recipe.choices import ENGINES


class _Path(click.Path):
    """A path whose name in the help is ``name`` in capitals."""

    def __init__(self, name: str) -> None:
        super().__init__(path_type=Path)
        self.name = name


PATH, FILE, DIR = _Path("path"), _Path("file"), _Path("dir")
COUNT = click.IntRange(min=1)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_batch_size = click.option(
    "--batch-size", type=COUNT, default=32, help="Pictures at once; results do not depend on it."
)
_device = click.option("--device", default="auto", metavar="NAME", help="auto, cpu, gpu or gpu:0.")
_engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    help="What runs the network; auto: OpenVINO on a CPU, Paddle with mixed precision on a GPU.",
)
overrides_option = click.option(
    "-o",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe: -o train.epochs=3. May be repeated.",
)
trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the code (module.py) of a user's own architecture."
)
module_option = click.option(
    "--module",
    required=True,
    metavar="NAME",
    help="A hub name (`hubtune hub list` shows all), a module folder or a weights file.",
)
weights_option = click.option(
    "--weights",
    default="official",
    metavar="FILE",
    help="A .safetensors or .pdparams file for the module, or none for random values.",
)


def _parse_path_column(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    meaning, _, name = (piece.strip() for piece in text.partition("="))
    if meaning != "path" or not name:
        raise UsageError(f"--column {text}: write path=NAME, the column with the paths of the pictures")
    return name


path_column_option = click.option(
    "--column",
    "path_column",
    metavar="path=NAME",
    callback=_parse_path_column,
    help="Which column of a table has the paths of the pictures.",
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--batch-size``, ``--device`` and ``--engine``."""
    for option in (_engine, _device, _batch_size):
        command = option(command)
    return command


def parse_weights(weights: str) -> str | None:
    """Return the value of ``--weights`` as :class:`~hubtune.hub.module.Module` takes it."""
    return None if weights == "none" else weights
