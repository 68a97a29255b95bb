"""Output of the commands: results for people or as JSON on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hubtune.text import escaped

if TYPE_CHECKING:
    from hubtune.evaluation.metrics import Metrics

SCHEMA_VERSION = 1


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document with its ``schema_version``."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}))


def print_table(
    lines: Sequence[Sequence[str]], *, sides: str = "<", rule: bool = True, total: bool = False
) -> None:
    """Print a heading and rows in columns.

    Args:
        lines: the cells, the heading's first, without control characters.
        sides: alignment of each column, ``<`` or ``>``; further columns, mostly numbers, are right-aligned.
        rule: whether a line separates the heading from the rows.
        total: whether a line separates the last row from the others.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    sides = sides.ljust(len(widths), ">")
    for number, cells in enumerate(lines):
        if (rule and number == 1) or (total and number == len(lines) - 1):
            click.echo("  ".join("─" * width for width in widths).rstrip())
        padded = []
        for cell, width, side in zip(cells, widths, sides, strict=True):
            gap = " " * (width - cell_len(cell))
            padded.append(cell + gap if side == "<" else gap + cell)
        click.echo("  ".join(padded).rstrip())


def say(text: str) -> None:
    """Print a message on stderr."""
    click.echo(text, err=True)


def shown(text: str) -> str:
    """Return text from files for a terminal: control characters and broken UTF-8 escaped."""
    return escaped(text)


def percent(share: float) -> str:
    """Format a share: ``0.8083`` → ``80.8 %``."""
    return f"{100 * share:.1f} %"


def figures(metrics: "Metrics") -> str:
    """Format metrics on one line."""
    if not metrics.count:
        return "no readable picture"
    low, high = metrics.interval
    right = round(metrics.accuracy * metrics.count)
    unread = f"; {metrics.unreadable} unreadable" if metrics.unreadable else ""
    top5 = "" if metrics.top5 is None else f"; top-5 {percent(metrics.top5)}"
    return (
        f"{percent(metrics.accuracy)} ({right:,} of {metrics.count:,} right; 95 % interval "
        f"{100 * low:.1f}–{percent(high)}{top5}{unread})"
    )


def on_terminal() -> bool:
    """Whether stderr is a terminal that can show a moving bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
