"""``hubtune export``."""

from importlib import import_module
from pathlib import Path

import click

import hubtune
from hubtune.cli.console import echo, say, shown
from hubtune.cli.inputs import run_or_newest
from hubtune.cli.options import DIR, PATH, trust_option

# A format is a module of hubtune/export/ without an underscore in its name. It is imported in the command,
# because it imports Paddle, which takes seconds.
FORMATS = sorted(
    path.stem for path in (Path(__file__).parents[1] / "export").glob("*.py") if "_" not in path.stem
)


@click.command()
@click.argument("run", required=False, type=PATH)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="paddlehub: a module folder for PaddleHub 2.x.",
)
@click.option("-o", "--output", type=DIR, required=True, help="The folder to write; new or empty.")
@click.option("--name", metavar="NAME", help="The module's name in PaddleHub; default: the folder's name.")
@trust_option
def command(run: Path | None, form: str, output: Path, name: str | None, trust_code: bool) -> None:
    """Write a model for another program.

    RUN is a run folder or a model folder; default: the newest run.

    \b
    hubtune export runs/idol5 --format paddlehub -o exported/idol5_classifier
    hub install exported/idol5_classifier
    hub run idol5_classifier --input_path photo.jpg
    """
    from hubtune.hardware.device import select_device

    target = import_module(f"hubtune.export.{form}")
    name = output.resolve().name if name is None else name
    getattr(target, f"check_{form}")(output, name)
    run = run_or_newest(run)
    select_device("cpu")
    getattr(target, f"export_{form}")(hubtune.load_model(run, trust_code=trust_code), output, name)
    echo(f"{target.PRODUCT} {name} written to {shown(output)}")
    say(f"Use it: {getattr(target, f'{form}_usage')(shown(output), name)}")
