"""Command groups that import a command only when it runs, so that help is quick and needs no Paddle."""

from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from hubtune.errors import UsageError

_SENTENCE = 300  # characters, at most


class CommandGroup(click.Group):
    """A group whose help has the whole first sentence of each command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(_SENTENCE)) for name, each in commands.items() if each]
            )


class LazyGroup(click.Group):
    """A group whose commands are named in sections; each is ``command`` in a module of its own.

    Args:
        sections: heading of the help → command's name → its line in the help.
        prefix: start of the modules' names, before the command's name.
        moved: former command → the script that has replaced it.
    """

    def __init__(
        self,
        *,
        sections: Mapping[str, Mapping[str, str]],
        prefix: str,
        moved: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sections, self._prefix, self._moved = sections, prefix, moved or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in self.sections.values() for name in commands]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command, or raise a :class:`UsageError` if a script has replaced it."""
        if name in self._moved:
            raise UsageError(f"{ctx.command_path} {name} is now a script: run {self._moved[name]}")
        if name not in self.list_commands(ctx):
            return None
        # `import` is a keyword, and no module can be named so: it is in import_.py.
        command = import_module(f"{self._prefix}{name}{'_' if iskeyword(name) else ''}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))
