"""``hubtune data``: preview of training pictures, and conversion of CIFAR files."""

import click

from hubtune.cli.lazy import LazyGroup

# A command is `hubtune/cli/data_<name>.py`.
_COMMANDS = {
    "preview": "Draw what the network sees of training pictures.",
    "cifar": "Turn CIFAR-10 or CIFAR-100 as published into pictures and lists.",
}


@click.group(cls=LazyGroup, sections={"Commands": _COMMANDS}, prefix="hubtune.cli.data_")
def command() -> None:
    """Preview training pictures; convert CIFAR files.

    \b
    hubtune data preview pics/ --augment strong
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    """
