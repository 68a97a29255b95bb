"""``hubtune embed``."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import print_json, say, shown
from hubtune.cli.embedding_output import WRITERS, Embeddings, gather_features
from hubtune.cli.inputs import check_output_file, expand_images
from hubtune.cli.options import (
    FILE,
    engine_options,
    optional_module_option,
    parse_weights,
    table_options,
    trust_option,
    weights_option,
)
from hubtune.cli.prediction_output import report_unreadable
from hubtune.cli.sharding import ShardRequest, ShardRun, check_options, shard_options
from hubtune.errors import UsageError, writing
from hubtune.log import show_on_stderr
from hubtune.storage.address import name_of
from hubtune.storage.atomic import replacing
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune import Module
    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("images", nargs=-1, metavar="PICTURES...")
@table_options
@optional_module_option
@weights_option
@click.option(
    "-o",
    "--output",
    "target",
    type=FILE,
    required=True,
    help="A .npz (arrays features, paths, errors) or .csv file; with --shard, a folder.",
)
@shard_options("npz", "csv")
@engine_options
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    module: str | None,
    weights: str,
    target: Path,
    request: ShardRequest,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Write the pooled features of PICTURES, one row per picture in the given order.

    Pictures are similar if the cosine of their features is high. An unreadable picture has a row of nan
    (empty in CSV) and the reason in the column of errors.

    With --shard, several machines share the pictures, by their names; --gather joins what they wrote.

    \b
    hubtune embed pics/ --module resnet50_imagenet -o features.npz
    hubtune embed *.jpg --module dinov2_vits14 -o features.csv
    hubtune embed pics/ --module resnet50_imagenet --shard 3/64 -o parts/
    hubtune embed --gather parts/ -o features.npz
    """
    if request.shard is None:
        if target.suffix.lower() not in WRITERS:
            raise UsageError(f"-o {target}: name a file that ends in {' or '.join(WRITERS)}")
        check_output_file(target, "-o")
    if request.gather is not None:
        check_options("--gather", ("gather", "target", "as_json"), "joins parts as they are")
        _report(gather_features(request.gather, target), target, as_json=as_json)
        return
    if not images or module is None:
        raise UsageError(
            "Name the pictures to embed, and the module: hubtune embed pics/ --module NAME -o FILE"
        )
    shard = None if request.shard is None else ShardRun(request, target, images, settings)
    paths = [*expand_images(images, settings)] if shard is None else shard.paths

    from hubtune.hardware.device import select_device
    from hubtune.inference.int8_program import refuse_int8

    refuse_int8(engine)
    show_on_stderr()
    select_device(device)
    source = hubtune.Module(module, parse_weights(weights), trust_code=trust_code)
    if shard is None:
        rows, _ = _embed(source, paths, engine, batch_size)
        with writing(target), replacing(target) as file:
            WRITERS[target.suffix.lower()](file, rows)
        _report(rows, target, as_json=as_json)
    elif not shard.is_finished(as_json=as_json, **_common_facts(source)):
        rows, engine = _embed(source, paths, engine, batch_size)
        content, errors = rows.content(shard.suffix), rows.unreadable
        shard.write(content, errors=errors, model=source.name, engine=engine, as_json=as_json)


def _common_facts(module: "Module") -> dict[str, Any]:
    """Return what the parts of one result have in common, beside the pictures."""
    code = hashlib.sha256(module.code).hexdigest() if module.code else None
    view = module.preprocessing.model_dump(mode="json")
    options = {"module": module.backbone.name, "code_sha256": code, "preprocessing": view}
    return {"command": "embed", "model_sha256": module.weights_sha256, "options": options}


def _embed(module: "Module", paths: Sequence[str], engine: str, batch_size: int) -> tuple[Embeddings, str]:
    """Return the rows of images, and the name of the engine that computed them."""
    import numpy as np

    from hubtune.cli.progress import counting_bar
    from hubtune.inference.extract import run_images
    from hubtune.inference.lazy_engine import LazyEngine
    from hubtune.inference.program import Subnetwork

    features = np.full((len(paths), module.backbone.width), np.nan, np.float32)
    errors = [""] * len(paths)
    network = Subnetwork(module.network, module.features, module.preprocessing)
    views, files = [module.preprocessing], [Path(path) for path in paths]
    started = LazyEngine(lambda: network, engine)
    outputs = run_images(started, views, files, batch_size=batch_size, workers=2)
    with counting_bar("embedding") as advance:
        for number, output in enumerate(outputs):
            if output.rows is not None:
                features[number] = output.rows[0]
            if output.error is not None:
                errors[number] = output.error.reason
            advance(number + 1, len(paths))
    return Embeddings([name_of(path) for path in paths], errors, features), started.name


def _report(rows: Embeddings, target: Path, *, as_json: bool) -> None:
    count, width = rows.features.shape
    if as_json:
        print_json({"output": str(target), "count": count, "width": width, "unreadable": rows.unreadable})
    say(f"{plural(count, 'row')} of {width:,} features written to {shown(target)}")
    report_unreadable(rows.unreadable, count)
