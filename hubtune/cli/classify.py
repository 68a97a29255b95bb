"""``hubtune classify``."""

from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.inputs import expand_images
from hubtune.cli.options import module_option, parse_weights, table_options, trust_option, weights_option
from hubtune.cli.prediction_output import PredictionOutput, prediction_options
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="PICTURES...")
@table_options
@module_option
@weights_option
@prediction_options(top=3)
@trust_option
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    module: str,
    weights: str,
    output: PredictionOutput,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
) -> None:
    """Classify PICTURES with an unchanged pretrained module, mostly into ImageNet's 1000 classes.

    One row per picture, in the given order; an unreadable picture has a row with the reason. In a folder,
    pictures with any extension are used; other files are named and left out.

    \b
    hubtune classify photo.jpg --module resnet50_imagenet
    hubtune classify holiday/ --module mobilenet_v3_large_imagenet_ssld --csv answers.csv
    hubtune classify photo.jpg --module paddle.vision:mobilenet_v2 --weights mobilenet_v2.safetensors
    """
    paths = [*expand_images(images, settings)]
    output.check_targets(paths)

    from hubtune.hardware.device import select_device

    show_on_stderr()
    select_device(device)
    source = hubtune.Module(module, parse_weights(weights), trust_code=trust_code)
    model = hubtune.pretrained_model(source, engine=engine)
    output.predict(model, module, paths, batch_size=batch_size)
