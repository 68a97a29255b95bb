"""Tables on a terminal."""

from collections.abc import Sequence

import click


def print_table(lines: Sequence[Sequence[str]], *, total: bool = False) -> None:
    """Print a heading and rows in columns: the first to the left, the others, numbers, to the right.

    Args:
        lines: cells as they may go to a terminal, the heading's first.
        total: whether the last line is parted from the others.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("─" * width for width in widths)
    for number, (name, *cells) in enumerate(lines):
        if number == 1 or (total and number == len(lines) - 1):
            click.echo(rule)
        name += " " * (widths[0] - cell_len(name))
        click.echo("  ".join([name, *map(str.rjust, cells, widths[1:])]))


def print_columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows in columns without rules.

    Args:
        rows: cells as they may go to a terminal.
        right: numbers of the columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
