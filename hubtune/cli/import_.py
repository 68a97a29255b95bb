"""``hubtune import``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import say, shown

if TYPE_CHECKING:
    from hubtune.inference.model import Model


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and the options that both programs' checkpoints have."""
    for option in (
        click.option(
            "--labels",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Class names; default: the only *label*.txt beside the checkpoint.",
        ),
        click.option(
            "--architecture",
            metavar="NAME",
            help="Hub or class name; default: as the folder's name or the tensors say.",
        ),
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The model folder to write.",
        ),
        click.argument("checkpoint", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Turn a checkpoint of another program into a hubtune model with the same classes and scores."""


@command.command()
@_common
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration it was trained with (.yaml).",
)
def paddleclas(
    checkpoint: Path, output: Path, architecture: str | None, labels: Path | None, config: Path | None
) -> None:
    """Import CHECKPOINT of PaddleClas: best_model.pdparams, or its folder.

    \b
    hubtune import paddleclas output/PPLCNet_x1_0 -o models/flowers --config flowers.yaml
    hubtune import paddleclas best.pdparams -o models/flowers --architecture ResNet50_vd --labels names.txt
    """
    from hubtune.compat.checkpoint import import_paddleclas

    model = import_paddleclas(checkpoint, output, architecture=architecture, labels=labels, config=config)
    _tell(model, output)
    if config is None:
        say("Without --config, pictures are prepared as PaddleClas does by default for this architecture.")


@command.command()
@_common
def paddlehub(checkpoint: Path, output: Path, architecture: str | None, labels: Path | None) -> None:
    """Import CHECKPOINT of PaddleHub 2.x: best_model/model.pdparams, its folder or the trainer's.

    \b
    hubtune import paddlehub img_classification_ckpt -o models/flowers --labels label_list.txt
    """
    from hubtune.compat.checkpoint import import_paddlehub

    _tell(import_paddlehub(checkpoint, output, architecture=architecture, labels=labels), output)


def _tell(model: "Model", folder: Path) -> None:
    labels = ", ".join(model.labels[:5]) + (", …" if len(model.labels) > 5 else "")
    click.echo(
        f"{shown(str(folder))}: {model.card.architecture}, {len(model.labels):,} classes ({shown(labels)})"
    )
    say(f"Next: hubtune predict PICTURES --model {shown(str(folder))}")
