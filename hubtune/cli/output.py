"""What commands print: results for people or as JSON on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hubtune.text import escaped

if TYPE_CHECKING:
    from hubtune.evaluation.metrics import Metrics

SCHEMA_VERSION = 1


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document with its ``schema_version``."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}))


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    click.echo(text, err=True)


def shown(text: str) -> str:
    """Text from files as it may go to a terminal: control characters and broken UTF-8 escaped."""
    return escaped(text)


def percent(share: float) -> str:
    """A share for people: ``0.8083`` → ``80.8 %``."""
    return f"{100 * share:.1f} %"


def figures(metrics: "Metrics") -> str:
    """Metrics for people, on one line."""
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
    """Whether stderr is a terminal that can show a bar that moves."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
