"""``hubtune data pull``."""

from pathlib import Path

import click

from hubtune.cli.console import echo, print_json, say, shown
from hubtune.cli.named_data import pull
from hubtune.cli.options import DIR, PATH, json_option
from hubtune.cli.split_output import quote_path


@click.command()
@click.argument("name")
@click.option(
    "-o", "--out", type=DIR, help="Where the pictures and lists go: new or empty. Default: the cache."
)
@click.option(
    "--from",
    "given",
    type=PATH,
    metavar="FILE|FOLDER",
    help="The file that was fetched by other means, or a folder with all files of the data set.",
)
@json_option
def command(name: str, out: Path | None, given: Path | None, as_json: bool) -> None:
    """Fetch the public data set NAME, verify and unpack it, and write the lists of its official split.

    Without a network, fetch the file on another machine and name it by --from.

    \b
    hubtune data pull flowers102
    hubtune data pull cifar10 -o datasets/cifar10
    hubtune data pull eurosat --from EuroSAT.zip
    """
    from hubtune.data.published.catalog import find_dataset

    dataset = find_dataset(name)
    pulled = pull(dataset, out, given)
    if as_json:
        print_json({**dataset.as_dict(), "folder": str(pulled.folder), "remarks": pulled.remarks})
        return
    echo(f"{dataset.name}: {shown(pulled.folder)}")
    say(f"Next: hubtune finetune {dataset.name if out is None else quote_path(out)}")
