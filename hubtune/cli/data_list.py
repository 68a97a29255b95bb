"""``hubtune data list``."""

import click

from hubtune.cli.console import print_json, print_table, say
from hubtune.cli.options import json_option
from hubtune.text import format_bytes


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the public data sets that have a name, which `hubtune finetune` and others take for a source.

    A size with a question mark is not known; a set with a star has a file without a published checksum.
    """
    from hubtune.data.published.catalog import DATASETS
    from hubtune.data.published.pull import dataset_folder

    if as_json:
        print_json({"datasets": [dataset.as_dict() for dataset in DATASETS.values()]})
        return
    lines = [["name", "classes", "pictures", "size", "licence of the pictures", ""]]
    for dataset in DATASETS.values():
        images = "?" if dataset.images is None else f"{dataset.images:,}"
        size = "?" if dataset.bytes is None else format_bytes(dataset.bytes)
        place = "on this machine" if dataset_folder(dataset).is_dir() else ""
        name = dataset.name if dataset.is_verified else f"{dataset.name} *"
        lines.append([name, str(dataset.classes), images, size, dataset.licence, place])
    print_table(lines, sides="<>>><<", rule=False)
    say("* has no published checksum: it cannot be verified\nNext: hubtune finetune NAME")
