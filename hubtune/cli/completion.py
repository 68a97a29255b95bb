"""``hubtune completion``: the script that completes commands and options in a shell."""

import os
from pathlib import PurePath

import click
from click.shell_completion import get_completion_class

from hubtune.cli.console import say
from hubtune.errors import UsageError

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "hubtune"
_VARIABLE = f"_{_PROGRAM.upper()}_COMPLETE"  # as click calls it
_FILES = {
    "bash": "~/.local/share/bash-completion/completions/hubtune",
    "zsh": "a file _hubtune in a folder of $fpath",
    "fish": "~/.config/fish/completions/hubtune.fish",
}


@click.command()
@click.argument("shell", required=False, type=click.Choice(_SHELLS))
def command(shell: str | None) -> None:
    """Print the script that completes hubtune's commands and options in SHELL, by default the current one.

    \b
    hubtune completion bash
    """
    own = PurePath(os.environ.get("SHELL", "")).name
    chosen = shell or (own if own in _SHELLS else None)
    if chosen is None:
        raise UsageError(f"The shell is not known: name it, hubtune completion {'|'.join(_SHELLS)}")
    from hubtune.cli.commands import hubtune_command

    known = get_completion_class(chosen)
    assert known is not None
    click.echo(known(hubtune_command, {}, _PROGRAM, _VARIABLE).source())
    say(f"For good: write this into {_FILES[chosen]}")
