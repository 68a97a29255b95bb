"""``hubtune data``: looking at data, and bringing it into the form that is read here."""

from importlib import import_module

import click

# A command is `hubtune/cli/data_<name>.py`.
_COMMANDS = {
    "preview": "Show what the network will see of training pictures.",
    "cifar": "Turn CIFAR-10 or CIFAR-100 as published into pictures and lists.",
}


class _Commands(click.Group):
    """Imports a command only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = import_module(f"hubtune.cli.data_{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands)
def command() -> None:
    """Look at data: what the network will see; CIFAR's files as pictures.

    \b
    hubtune data preview pics/ --augment strong
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    """
