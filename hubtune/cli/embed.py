"""``hubtune embed``."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

import hubtune
from hubtune.cli.console import print_json, say, shown
from hubtune.cli.inputs import check_output_file, expand_images
from hubtune.cli.options import (
    FILE,
    engine_options,
    module_option,
    parse_weights,
    table_options,
    trust_option,
    weights_option,
)
from hubtune.cli.prediction_output import report_unreadable
from hubtune.errors import UsageError, writing
from hubtune.log import show_on_stderr
from hubtune.storage.atomic import replacing
from hubtune.text import escape_cell

if TYPE_CHECKING:
    import numpy as np

    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="PICTURES...")
@table_options
@module_option
@weights_option
@click.option(
    "-o",
    "--output",
    "target",
    type=FILE,
    required=True,
    help="A .npz (arrays features, paths, errors) or .csv file.",
)
@engine_options
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    module: str,
    weights: str,
    target: Path,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Write the pooled features of PICTURES, one row per picture in the given order.

    Pictures are similar if the cosine of their features is high. An unreadable picture has a row of nan
    (empty in CSV) and the reason in the column of errors.

    \b
    hubtune embed pics/ --module resnet50_imagenet -o features.npz
    hubtune embed *.jpg --module dinov2_vits14 -o features.csv
    """
    if target.suffix.lower() not in _WRITERS:
        raise UsageError(f"-o {target}: name a file that ends in {' or '.join(_WRITERS)}")
    check_output_file(target, "-o")
    paths = [*expand_images(images, settings)]

    import numpy as np

    from hubtune.cli.progress import counting_bar
    from hubtune.hardware.device import select_device
    from hubtune.inference.extract import run_images
    from hubtune.inference.int8_program import refuse_int8
    from hubtune.inference.lazy_engine import LazyEngine
    from hubtune.inference.program import Subnetwork

    refuse_int8(engine)
    show_on_stderr()
    select_device(device)
    source = hubtune.Module(module, parse_weights(weights), trust_code=trust_code)
    features = np.full((len(paths), source.backbone.width), np.nan, np.float32)
    errors = [""] * len(paths)
    network = Subnetwork(source.network, source.features, source.preprocessing)
    views, files = [source.preprocessing], [Path(path) for path in paths]
    outputs = run_images(LazyEngine(lambda: network, engine), views, files, batch_size=batch_size, workers=2)
    with counting_bar("embedding") as advance:
        for number, output in enumerate(outputs):
            if output.rows is not None:
                features[number] = output.rows[0]
            if output.error is not None:
                errors[number] = output.error.reason
            advance(number + 1, len(paths))
    with writing(target), replacing(target) as file:
        _WRITERS[target.suffix.lower()](file, paths, features, errors)
    unreadable = sum(map(bool, errors))
    count, width = features.shape
    if as_json:
        print_json({"output": str(target), "count": count, "width": width, "unreadable": unreadable})
    say(f"{count:,} rows of {width:,} features written to {shown(target)}")
    report_unreadable(unreadable, count)


def _write_npz(file: BinaryIO, paths: Sequence[str], features: "np.ndarray", errors: Sequence[str]) -> None:
    import numpy as np

    np.savez(file, features=features, paths=np.array(paths), errors=np.array(errors))


def _write_csv(file: BinaryIO, paths: Sequence[str], features: "np.ndarray", errors: Sequence[str]) -> None:
    text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
    writer = csv.writer(text)  # with its CR LF: with other line ends, a CR in a name would not be quoted
    writer.writerow(["path", "error", *(f"f{number}" for number in range(features.shape[1]))])
    for path, error, row in zip(paths, errors, features, strict=True):
        # Nine digits restore every float32 exactly.
        values = [""] * len(row) if error else [f"{value:.9g}" for value in row]
        writer.writerow([escape_cell(path), escape_cell(error), *values])
    text.flush()
    text.detach()  # otherwise it would close the file, which is not on the disk yet


_WRITERS = {".npz": _write_npz, ".csv": _write_csv}
