"""``hubtune import``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import hubtune
from hubtune.cli.console import echo, say, shown
from hubtune.cli.lazy import CommandGroup
from hubtune.cli.options import DIR, FILE, PATH
from hubtune.cli.recipe import print_translation


def _checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    labels_help = "Class names; default: the only *label*.txt beside the checkpoint."
    architecture_help = "Hub or class name; default: by the folder's name or the tensors."
    for option in (
        click.option("--encoding", metavar="NAME", help="Encoding of the class names: gbk, …"),
        click.option("--labels", type=FILE, help=labels_help),
        click.option("--architecture", metavar="NAME", help=architecture_help),
        click.option("-o", "--output", required=True, type=DIR, help="The model folder to write."),
        click.argument("checkpoint", type=PATH),
    ):
        command = option(command)
    return command


@click.group(cls=CommandGroup)
def command() -> None:
    """Turn a checkpoint of another program into a hubtune model with the same classes and scores."""


@command.command("paddleclas")
@_checkpoint_options
@click.option("--config", type=FILE, help="The configuration it was trained with (.yaml), or inference.yml.")
def import_from_paddleclas(checkpoint: Path, output: Path, config: Path | None, **options: Any) -> None:
    """Import CHECKPOINT of PaddleClas: best_model.pdparams, or its folder.

    \b
    hubtune import paddleclas output/PPLCNet_x1_0 -o models/flowers --config flowers.yaml
    hubtune import paddleclas best.pdparams -o models/flowers --architecture ResNet50_vd --labels names.txt
    """
    _print_result(hubtune.import_paddleclas(checkpoint, output, config=config, **options), output)
    if config is None:
        say(
            "Without --config, pictures are preprocessed by PaddleClas's defaults for this architecture, and "
            "have one class each."
        )


@command.command("paddlehub")
@_checkpoint_options
def import_from_paddlehub(checkpoint: Path, output: Path, **options: Any) -> None:
    """Import CHECKPOINT of PaddleHub 2.x: best_model/model.pdparams, its folder or the trainer's.

    Or of PaddleHub 1.x: best_model, step_N, or the checkpoint_dir with them.

    \b
    hubtune import paddlehub img_classification_ckpt -o models/flowers --labels label_list.txt
    hubtune import paddlehub ckpt_20200426/best_model -o models/flowers --labels label_list.txt
    """
    _print_result(hubtune.import_paddlehub(checkpoint, output, **options), output)


@command.command("paddleclas-config")
@click.argument("config", type=FILE)
@click.option("-o", "--output", required=True, type=FILE, help="The recipe to write.")
def import_from_paddleclas_config(config: Path, output: Path) -> None:
    """Translate CONFIG, a whole configuration of PaddleClas, into a recipe, and list what is left out.

    \b
    hubtune import paddleclas-config ppcls/configs/quick_start/ResNet50_vd.yaml -o recipe.yaml
    """
    print_translation(hubtune.translate_paddleclas(config), output)


def _print_result(model: "hubtune.Model", folder: Path) -> None:
    labels = ", ".join(model.labels[:5]) + (", …" if len(model.labels) > 5 else "")
    kind = "labels" if model.card.multi_label else "classes"
    echo(f"{shown(folder)}: {model.card.architecture}, {len(model.labels):,} {kind} ({shown(labels)})")
    say(f"Next: hubtune predict PICTURES --model {shown(folder)}")
