"""``hubtune cache``: what was computed of pictures and kept, so that it is computed once."""

import contextlib
import itertools
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from hubtune.cli.output import print_json, say, shown
from hubtune.errors import CheckFailedError, UsageError
from hubtune.features.cache import FeatureCache, bytes_of
from hubtune.features.store import size_in_words
from hubtune.hub import cache as weights

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def command() -> None:
    """The feature cache: what frozen networks made of pictures, kept so that it is computed once.

    \b
    hubtune cache ls
    hubtune cache prune --older-than 30d
    HUBTUNE_CACHE_SIZE=2GB hubtune finetune pics/     10GB if unset; 0 keeps nothing
    """


@command.command("ls")
@_json
def list_spaces(as_json: bool) -> None:
    """List what is kept, the last used first."""
    cache = FeatureCache()
    kept = cache.kept()
    size, weights_size = cache.size(), _weights_size()
    if as_json:
        spaces = [
            {
                "name": space.folder.name,
                "description": space.description,
                "pictures": space.pictures,
                "bytes": space.bytes,
                "last_used": datetime.fromtimestamp(space.used, UTC).isoformat(timespec="seconds"),
            }
            for space in kept
        ]
        print_json(
            {
                "folder": str(cache.folder),
                "limit": cache.limit,
                "bytes": size,
                "spaces": spaces,
                "weights": {"folder": str(weights.weights_folder()), "bytes": weights_size},
            }
        )
        return
    if kept:
        rows = [("module", "layer", "view", "engine", "pictures", "size", "last used")]
        rows += [
            (
                *_words(space.description),
                f"{space.pictures:,}",
                size_in_words(space.bytes),
                _ago(time.time() - space.used),
            )
            for space in kept
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [
                cell.rjust(width) if column in (4, 5) else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            click.echo("  ".join(cells).rstrip())
    else:
        say("No features are kept yet: the first run with a frozen network computes them")
    say(
        f"features  {size_in_words(size)} of at most {size_in_words(cache.limit)}  {shown(str(cache.folder))}"
    )
    if weights_size:
        say(
            f"weights   {size_in_words(weights_size)}  {shown(str(weights.weights_folder()))}: "
            "`hubtune hub prune --help` tells how to remove them"
        )


@command.command()
@click.option(
    "--older-than",
    metavar="TIME",
    help="Remove what was last used longer ago: 12h, 30d, 8w.",
)
@click.option("--keep", metavar="SIZE", help="Leave so much at most: 2GB, 500MB.")
@click.option("--all", "everything", is_flag=True, help="Remove all features.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@_json
def prune(older_than: str | None, keep: str | None, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove features; without options, only damaged files, leftovers, and what exceeds the limit.

    What was not used for the longest time goes first. Features are computed again when they are needed.
    Weights stay: `hubtune hub prune` removes those.
    """
    if everything and (older_than or keep):
        raise UsageError("Give --all, or --older-than and --keep, not both")
    since = None if older_than is None else time.time() - _duration(older_than)
    most = 0 if everything else None if keep is None else _size(keep)
    removed = FeatureCache().prune(unused_since=since, keep=most, dry_run=dry_run)
    freed = sum(entry.bytes for entry in removed)
    if as_json:
        print_json({"removed": len(removed), "bytes": freed, "dry_run": dry_run})
        return
    click.echo(f"{size_in_words(freed)} {'would be ' if dry_run else ''}freed")


@command.command()
@_json
def verify(as_json: bool) -> None:
    """Read everything that is kept, and remove files with damage.

    Exit code 8 if there were any; what was in them is computed again when it is needed. No run needs this
    command: every run checks what it reads.
    """
    checked = list(FeatureCache().verify())
    damaged = sum(space.damaged_shards for space in checked)
    removed = sum(space.removed_shards for space in checked)
    if as_json:
        print_json(
            {
                "spaces": [
                    {
                        "name": space.folder.name,
                        "description": space.description,
                        "rows": space.rows,
                        "damaged_rows": space.damaged_rows,
                        "damaged_shards": space.damaged_shards,
                        "removed_shards": space.removed_shards,
                    }
                    for space in checked
                ],
                "damaged": damaged,
            }
        )
    else:
        for space in checked:
            what = "  ".join(filter(None, _words(space.description)))
            state = "DAMAGED" if space.damaged_shards else "ok"
            because = f": {space.damaged_rows:,} damaged" if space.damaged_rows else ""
            click.echo(f"{state:<7}  {what}  {space.rows:,} rows{because}")
    if damaged:
        say(
            f"Damaged files: {damaged}, removed: {removed}. What was in them is computed again when it is "
            "needed"
        )
        click.get_current_context().exit(CheckFailedError.exit_code)
    if not checked:
        say("No features are kept yet: there is nothing to verify")


def _words(description: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Module, layer, view and engine of a space, for people."""
    module, layer, engine = (
        shown(str(description.get(name) or "")) for name in ("module", "layer", "engine")
    )
    # Not all that is kept is a network's output; the rest says what it is.
    return module or "?", layer or shown(str(description.get("what", ""))), _view(description), engine


def _view(description: Mapping[str, Any]) -> str:
    view = description.get("view", "")
    if not isinstance(view, dict):
        return shown(str(view))
    side = view.get("resize" if view.get("fit") == "whole" else "size", "")
    channels = {1: ", grey", 4: ", 4 channels"}.get(view.get("channels", 3), "")
    return shown(
        f"{view.get('fit', '')} {side}{channels}{', mirrored' if view.get('mirror') else ''}".strip()
    )


def _ago(seconds: float) -> str:
    for name, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def _duration(text: str) -> int:
    parts = re.fullmatch(r"([0-9]{1,6})\s*([hdw])", text.strip().lower())
    if parts is None:
        raise UsageError(f"--older-than {text!r} is no time: write 12h, 30d or 8w")
    return int(parts[1]) * _SECONDS[parts[2]]


def _size(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise UsageError(f"--keep {error}") from error


def _weights_size() -> int:
    total = 0
    for file in itertools.chain.from_iterable(weights.contents().values()):
        with contextlib.suppress(OSError):  # another process may be removing it
            total += file.stat().st_size
    return total
