"""``hubtune predict``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.inputs import expand_images, model_or_newest
from hubtune.cli.options import DIR, PATH, table_options, trust_option
from hubtune.cli.prediction_output import PredictionOutput, prediction_options
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="PICTURES...")
@table_options
@click.option("--model", type=PATH, metavar="RUN", help="A run or model folder; default: the newest run.")
@click.option("--reject", is_flag=True, help="No label for pictures unlike all training pictures.")
@click.option(
    "--sort-into",
    type=DIR,
    help="Copy the pictures into a folder for each predicted class.",
)
@click.option("--link", is_flag=True, help="With --sort-into: hard links in place of copies.")
@click.option("--explain", is_flag=True, help="With --save: tint where the model looked.")
@prediction_options(top=1)
@trust_option
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    model: Path | None,
    reject: bool,
    sort_into: Path | None,
    link: bool,
    explain: bool,
    output: PredictionOutput,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
) -> None:
    """Name the class of PICTURES: files, folders, patterns, list files (.txt) or tables (.csv, .tsv).

    One row per picture, in the given order; an unreadable picture has a row with the reason. In a folder,
    pictures with any extension are used; other files are named and left out. A name that exists is never
    taken for a pattern. Paths in a list or table start from its folder; labels in it are ignored.

    \b
    hubtune predict dataset/test/*.jpg
    hubtune predict holiday/ --top 5 --csv answers.csv
    hubtune predict test.csv --column path=image_id
    hubtune predict a.jpg --model runs/idol5 --save labelled/
    hubtune predict holiday/ --reject --sort-into sorted/
    """
    output = replace(output, reject=reject, sort_into=sort_into, link=link, explain=explain)
    paths = [*expand_images(images, settings)]
    output.check_targets(paths)
    model = model_or_newest(model)

    # This imports Paddle, which takes seconds; everything that can be refused without it has been.
    from hubtune.hardware.device import select_device

    show_on_stderr()
    select_device(device)
    loaded = hubtune.load_model(model, trust_code=trust_code, engine=engine)
    output.predict(loaded, str(model), paths, batch_size=batch_size)
