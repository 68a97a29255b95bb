"""Groups of commands that import a command only when it is run, so that help is quick and needs no Paddle."""

from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click


class LazyGroup(click.Group):
    """Commands by section of the help; each is ``command`` in a module of its own."""

    def __init__(
        self, *given: Any, sections: Mapping[str, Mapping[str, str]], prefix: str, **options: Any
    ) -> None:
        """Take the commands.

        Args:
            given: as click's group.
            sections: heading → name of each command → its line in the help.
            prefix: what the modules' names begin with, before the commands' names.
            options: as click's group.
        """
        super().__init__(*given, **options)
        self._sections, self._prefix = sections, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [name for commands in self._sections.values() for name in commands]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in self.list_commands(ctx):
            return None
        # A module cannot be called as a keyword is.
        command = import_module(f"{self._prefix}{name}{'_' if iskeyword(name) else ''}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))
