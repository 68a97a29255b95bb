"""Options that several commands have."""

import click

from hubtune.recipe.choices import ENGINES

batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures at once; results do not depend on it.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, gpu or gpu:0."
)
engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
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
    show_default=True,
    metavar="FILE",
    help="A .safetensors or .pdparams file for the module, or none for random values.",
)


def parse_weights(weights: str) -> str | None:
    """Return the value of ``--weights`` as :class:`~hubtune.hub.module.Module` takes it."""
    return None if weights == "none" else weights
