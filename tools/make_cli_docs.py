"""Write docs/cli.md: every command of hubtune with its help, arguments and options.

    python tools/make_cli_docs.py

A test compares the page with the commands.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from hubtune.cli.commands import hubtune_command
from hubtune.errors import HubtuneError

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

_INTRODUCTION = """\
# The command line

Every command with its options, as `hubtune COMMAND --help` prints them. This page is written by \
`python tools/make_cli_docs.py`.

Results go to stdout, messages and progress to stderr. With `--json`, stdout is one JSON document with a \
`schema_version`, also after an error. The exit codes:

| code | meaning |
|-|-|
| 0 | Success. |
"""
_STOPPED = """\
| 130, 143 | Stopped by Ctrl-C or SIGTERM. |
| 141 | The reader of the results has closed the pipe. |
"""


def cli_page() -> str:
    """Return the page."""
    errors = [kind for kind in HubtuneError.__subclasses__() if "exit_code" in vars(kind)]
    codes = [f"| {kind.exit_code} | {(kind.__doc__ or '').partition(chr(10))[0]} |\n" for kind in errors]
    context = click.Context(hubtune_command, info_name="hubtune", show_default=True)
    introduction = "".join([_INTRODUCTION, *codes, _STOPPED])
    return "\n".join([introduction, *_sections(hubtune_command, context)])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _section(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _sections(below, click.Context(below, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {context.command_path}", "", f"`{context.command_path} {usage}`", "", *_text(command)]
    if isinstance(command, click.Group):
        lines += ["| command | |", "|-|-|"]
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            link = f"{context.command_path} {name}".replace(" ", "-")
            lines.append(f"| [`{name}`](#{link}) | {below.get_short_help_str(200)} |")
        lines.append("")
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in filter(None, records) if text]
    return "\n".join([*lines, *(["| option | meaning |", "|-|-|", *rows, ""] if rows else [])])


def _text(command: click.Command) -> Iterator[str]:
    """The help's paragraphs; examples, which click does not wrap, become blocks."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(command.help or "").strip()):
        if paragraph.startswith("\b"):
            lines = [re.sub(" {3,}", "  # ", line.strip()) for line in paragraph.splitlines()[1:]]
            yield from ("```console", *(f"$ {line}" for line in lines), "```", "")
        else:
            yield from (" ".join(paragraph.split()), "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
