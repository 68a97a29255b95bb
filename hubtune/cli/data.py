"""``hubtune data``: looking at data, and bringing it into the form that is read here."""

import click

from hubtune.cli.lazy import LazyGroup

# A command is `hubtune/cli/data_<name>.py`.
_COMMANDS = {
    "preview": "Show what the network will see of training pictures.",
    "cifar": "Turn CIFAR-10 or CIFAR-100 as published into pictures and lists.",
}


@click.group(cls=LazyGroup, sections={"Commands": _COMMANDS}, prefix="hubtune.cli.data_")
def command() -> None:
    """Look at data: what the network will see; CIFAR's files as pictures.

    \b
    hubtune data preview pics/ --augment strong
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    """
