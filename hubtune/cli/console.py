"""Output of the commands: results for people or as JSON on stdout, everything else on stderr."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hubtune.messages.translation import translate, translate_word
from hubtune.text import columns, escaped, escaped_lines

if TYPE_CHECKING:
    from hubtune import Metrics

SCHEMA_VERSION = 1


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document with its ``schema_version``."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}))


def print_table(
    lines: Sequence[Sequence[str]], *, sides: str = "<", rule: bool = True, total: bool = False
) -> None:
    """Print a heading and rows in columns, translated; control characters are escaped.

    ``sides`` aligns each column, ``<`` or ``>``; further columns, mostly numbers, are right-aligned. A line
    separates the heading from the rows with ``rule``, and the last row from the others with ``total``.
    """
    from rich.cells import cell_len

    heading, *rows = lines
    table = [
        [translate_word(shown(cell)) for cell in heading],
        *([_cell(shown(cell)) for cell in cells] for cells in rows),
    ]
    if total:
        table[-1][0] = translate_word(table[-1][0])
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    sides = sides.ljust(len(widths), ">")
    for number, cells in enumerate(table):
        if (rule and number == 1) or (total and number == len(table) - 1):
            click.echo("  ".join("─" * width for width in widths).rstrip())
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        columns = zip(cells, gaps, sides, strict=True)
        padded = [cell + gap if side == "<" else gap + cell for cell, gap, side in columns]
        click.echo("  ".join(padded).rstrip())


def _cell(text: str) -> str:
    return translate(text) if " " in text else text  # a word may be a class


def echo(text: str) -> None:
    """Print a translated result on stdout; control characters in it are escaped, its line breaks stay."""
    click.echo(translate(escaped_lines(text)))


def echo_titled(title: str, text: str, width: int, *, indent: str = "") -> None:
    """Print a result after its title, which fills ``width`` columns."""
    name = translate_word(title)
    click.echo(f"{indent}{name}{' ' * max(0, width - columns(name))} {translate(escaped_lines(text))}")


def say(text: str) -> None:
    """Print a message on stderr as :func:`echo` does."""
    click.echo(translate(escaped_lines(text)), err=True)


def say_missing_font(where: str) -> None:
    """Print that class names could not be drawn; ``where`` is the image and its verb: "the sheet has"."""
    say(
        f"No font on this machine can draw all class names; {where} the classes' numbers. "
        "Install one, such as Noto Sans CJK, and run this again"
    )


def shown(text: object) -> str:
    """Return text from files, or a path, for a terminal: control characters and broken UTF-8 escaped."""
    return escaped(str(text))


def percent(share: float) -> str:
    """Format a share: ``0.8083`` → ``80.8 %``."""
    return f"{100 * share:.1f} %"


def share_or_dash(share: float | None) -> str:
    """Format a share as :func:`percent`; one that does not exist, ``None`` or NaN, as a dash."""
    return "–" if share is None or math.isnan(share) else percent(share)


def accuracy_figures(
    accuracy: float, right: int, count: int, interval: tuple[float, float], more: str = ""
) -> str:
    """Format an accuracy with its numbers and its 95 % interval."""
    low, high = interval
    share = percent(accuracy)
    return f"{share} ({right:,} of {count:,} right; 95 % interval {100 * low:.1f}–{percent(high)}{more})"


def figures(metrics: "Metrics") -> str:
    """Format metrics on one line; of multi-label data, the mean average precision comes first."""
    if not metrics.count:
        return "no readable picture"
    more = "" if metrics.top5 is None else f"; top-5 {percent(metrics.top5)}"
    more += f"; {metrics.unreadable} unreadable" if metrics.unreadable else ""
    right = round(metrics.accuracy * metrics.count)
    accuracy = accuracy_figures(metrics.accuracy, right, metrics.count, metrics.interval, more)
    if metrics.mean_ap is None:
        return accuracy
    return f"mAP {share_or_dash(metrics.mean_ap)}; all labels right {accuracy}"


@contextmanager
def native_output_on_stderr() -> Iterator[None]:
    """Send to stderr what libraries in C++ write to stdout meanwhile: it is no part of the result."""
    try:
        stdout = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def on_terminal() -> bool:
    """Whether stderr is a terminal that can show a moving bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
