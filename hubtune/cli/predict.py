"""``hubtune predict``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import hubtune
from hubtune.cli.inputs import check_output_file, expand_images, model_or_newest, one_shard_source
from hubtune.cli.options import DIR, RUN, table_options, trust_option
from hubtune.cli.prediction_output import PredictionOutput, prediction_options
from hubtune.cli.prediction_parts import common_facts, gather_predictions, predict_shard
from hubtune.cli.sharding import ShardRequest, ShardRun, check_options, shard_options
from hubtune.errors import UsageError
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings

_SHARD_PARAMETERS = (
    *("images", "columns", "encoding", "model", "reject", "top", "as_json", "scores"),
    *("shard_text", "part_format", "target", "batch_size", "device", "engine", "trust_code"),
)


@click.command()
@click.argument("images", nargs=-1, metavar="PICTURES...")
@table_options
@click.option("--model", type=RUN, metavar="RUN", help="A run or model folder; default: the newest run.")
@click.option("--reject", is_flag=True, help="No label for pictures unlike all training pictures.")
@click.option(
    "--sort-into",
    type=DIR,
    help="Copy the pictures into a folder for each predicted class.",
)
@click.option("--link", is_flag=True, help="With --sort-into: hard links in place of copies.")
@click.option("--explain", is_flag=True, help="With --save: tint where the model looked.")
@prediction_options(top=1)
@shard_options("csv", "jsonl")
@click.option("-o", "--output", "target", type=DIR, help="With --shard: the folder of the part files.")
@trust_option
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    model: Path | str | None,
    reject: bool,
    sort_into: Path | None,
    link: bool,
    explain: bool,
    output: PredictionOutput,
    request: ShardRequest,
    target: Path | None,
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
) -> None:
    """Name the class of PICTURES: files, folders, patterns, list files (.txt) or tables (.csv, .tsv).

    One row per picture, in the given order; an unreadable picture has a row with the reason. In a folder,
    pictures with any extension are used; other files are named and left out. A name that exists is never
    taken for a pattern. Paths in a list or table start from its folder; labels in it are ignored. Shards that
    `hubtune data pack` wrote, in a folder or a bucket, are read one after another. Pictures at addresses
    are fetched into the cache first, and named by them: https://host/photo.jpg, s3://bucket/photos/.

    With --shard, several machines share the pictures, by their names; --gather joins what they wrote.

    \b
    hubtune predict dataset/test/*.jpg
    hubtune predict holiday/ --top 5 --csv answers.csv
    hubtune predict test.csv --column path=image_id
    hubtune predict a.jpg --model runs/idol5 --save labelled/
    hubtune predict holiday/ --reject --sort-into sorted/
    hubtune predict pics/ --model runs/idol5 --shard 3/64 -o parts/
    hubtune predict --gather parts/ --csv answers.csv
    """
    output = replace(output, reject=reject, sort_into=sort_into, link=link, explain=explain)
    if request.gather is not None:
        check_options("--gather", ("gather", "csv_file", "as_json"), "joins parts as they are")
        check_output_file(output.csv_file, "--csv")
        gather_predictions(request.gather, output)
        return
    if not images:
        raise UsageError("Name the pictures to predict: files, folders, patterns, lists or tables")
    tar_shards = one_shard_source(images)
    if tar_shards is not None:
        output.check_for_shards()
    shard = None
    if request.shard is not None:
        if tar_shards is not None:
            raise UsageError(
                f"--shard divides pictures, and {images[0]} is tar shards: predict it as a whole"
            )
        if target is None:
            raise UsageError("--shard writes part files: name their folder with -o DIR")
        check_options("--shard", _SHARD_PARAMETERS, "writes one part file into -o")
        shard = ShardRun(request, target, images, settings)
    elif target is not None:
        raise UsageError("-o goes with --shard i/n; without it, name a file with --csv, or use --json")
    paths = shard.paths if shard else [] if tar_shards else [*expand_images(images, settings)]
    output.check_targets(paths)
    model = model_or_newest(model)
    if shard is not None and shard.is_finished(as_json=output.as_json, **common_facts(model, output)):
        return

    # This imports Paddle, which takes seconds; everything that can be refused without it has been.
    from hubtune.hardware.device import select_device
    from hubtune.inference.shard_prediction import predict_shards

    show_on_stderr()
    select_device(device)
    loaded = hubtune.load_model(model, trust_code=trust_code, engine=engine)
    if tar_shards is not None:
        rows = predict_shards(loaded, tar_shards, reject=reject, batch_size=batch_size)
        output.write(loaded, str(model), rows, tar_shards.index.images)
    elif shard is not None:
        predict_shard(shard, output, loaded, str(model), batch_size=batch_size)
    else:
        output.predict(loaded, str(model), paths, batch_size=batch_size)
