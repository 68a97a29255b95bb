"""``hubtune data``: public data sets, preview of training pictures, and conversion of CIFAR files."""

import click

from hubtune.cli.lazy import LazyGroup

# A command is `hubtune/cli/data_<name>.py`.
_COMMANDS = {
    "list": "List the public data sets that have a name.",
    "pull": "Fetch a public data set, verify and unpack it.",
    "preview": "Draw what the network sees of training pictures.",
    "pack": "Pack pictures into tar files for a bucket.",
    "cifar": "Turn CIFAR-10 or CIFAR-100 as published into pictures and lists.",
}


@click.group(cls=LazyGroup, sections={"Commands": _COMMANDS}, prefix="hubtune.cli.data_")
def command() -> None:
    """Fetch public data sets; preview training pictures; pack them into shards; convert CIFAR files.

    \b
    hubtune data pull flowers102
    hubtune data preview pics/ --augment strong
    hubtune data pack pics/ --out s3://bucket/shards
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    """
