"""``hubtune data pack``."""

import os
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import echo, print_json, say, shown
from hubtune.cli.options import RUN, json_option, source_options
from hubtune.errors import UsageError
from hubtune.text import format_bytes, parse_bytes, plural

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


class _Size(click.ParamType):
    """A number of bytes as ``256MB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("source", metavar="PICTURES")
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="DIR",
    type=RUN,
    help="Where the shards go: a new folder, or the address of one in a bucket.",
)
@click.option("--shard-size", type=_Size(), default="256MB", help="A shard ends when it has more than this.")
@source_options
@json_option
def command(
    source: str,
    out: str | os.PathLike[str],
    shard_size: int,
    settings: "SourceSettings",
    as_json: bool,
) -> None:
    """Pack PICTURES into tar files in WebDataset's layout, with an index: few large files for a bucket.

    PICTURES are what `hubtune split` takes; if they are divided into lists, each shard has pictures of one.
    All commands take shards as a source. Those of a bucket are fetched as they are needed, and never take
    more than HUBTUNE_SHARD_CACHE on the disk, by default 20GB.

    \b
    hubtune data pack pics/ --out shards/
    hubtune data pack s3://bucket/pics --out s3://bucket/shards --shard-size 500MB
    hubtune predict s3://bucket/shards --csv answers.csv
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.pack import pack_listing
    from hubtune.data.sources.open import open_source

    if not 2**20 <= shard_size <= 5 * 10**9:
        raise UsageError(f"--shard-size {format_bytes(shard_size)}: take 2MB to 5GB, the most of an object")
    with working_bar("opening") as progress:
        listing = open_source(source, settings=settings, progress=progress)
        index, left_out = pack_listing(listing, os.fspath(out), shard_bytes=shard_size, progress=progress)
    size = sum(shard.size for shard in index.shards)
    if as_json:
        figures = {"shards": len(index.shards), "pictures": index.images, "bytes": size}
        print_json({"out": os.fspath(out), "labels": index.labels, **figures, "left_out": left_out})
        return
    names = index.labels if index.label_sets is None else index.label_sets.labels
    classes = f"{len(names)} {'classes' if index.label_sets is None else 'labels'}"
    echo(
        f"{shown(os.fspath(out))}: {plural(len(index.shards), 'shard')}, "
        f"{plural(index.images, 'picture')} of {classes}, {format_bytes(size)}"
    )
    if left_out:
        say(f"{plural(left_out, 'file')} left out, not pictures")
