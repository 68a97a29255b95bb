"""``hubtune cache``: what was computed of pictures and kept, so that it is computed once."""

import contextlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.errors import CheckFailedError, MachineError, UsageError

if TYPE_CHECKING:
    from hubtune.inference.feature_cache import FeatureCache

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def command() -> None:
    """What is kept so that it is done once: features, what scans noted, what was unpacked and fetched.

    \b
    hubtune cache ls
    hubtune cache prune --older-than 30d
    HUBTUNE_CACHE_SIZE=2GB hubtune finetune pics/     10GB if unset; 0 keeps nothing
    """


@command.command("ls")
@_json
def list_spaces(as_json: bool) -> None:
    """List the features that are kept, the last used first, and the size of all else."""
    from hubtune.data.scan.scan_cache import cache_file
    from hubtune.hub.weights_cache import weights_folder
    from hubtune.storage.cache_folder import data_folder
    from hubtune.text import format_bytes

    cache = _usable_cache()
    kept = cache.kept()
    size, weights_size = cache.size(), _weights_size()
    looks_size, data_size = bytes_in(cache_file()), bytes_in(data_folder())
    if as_json:
        spaces = [
            {
                "name": space.folder.name,
                "description": space.description,
                "pictures": space.images,
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
                "looks": {"file": str(cache_file()), "bytes": looks_size},
                "data": {"folder": str(data_folder()), "bytes": data_size},
                "weights": {"folder": str(weights_folder()), "bytes": weights_size},
            }
        )
        return
    if kept:
        rows = [("module", "layer", "view", "engine", "pictures", "size", "last used")]
        rows += [
            (
                *_words(space.description),
                f"{space.images:,}",
                format_bytes(space.bytes),
                _ago(time.time() - space.used),
            )
            for space in kept
        ]
        print_table(rows, sides="<<<<>><", rule=False)
    else:
        say("No features are kept yet: the first run with a frozen network computes them")
    say(f"features  {format_bytes(size)} of at most {format_bytes(cache.limit)}  {shown(str(cache.folder))}")
    for what, part, place, how in (
        ("looks", looks_size, cache_file(), "what scans noted; `hubtune cache prune --all` removes it"),
        ("data", data_size, data_folder(), "unpacked and fetched pictures; `hubtune cache prune --data`"),
        ("weights", weights_size, weights_folder(), "`hubtune hub prune --help` tells how to remove them"),
    ):
        if part:
            say(f"{what:<8}  {format_bytes(part)}  {shown(str(place))}: {how}")


@command.command()
@click.option(
    "--older-than",
    metavar="TIME",
    help="Remove features that were last used longer ago: 12h, 30d, 8w.",
)
@click.option("--keep", metavar="SIZE", help="Leave so much of the features at most: 2GB, 500MB.")
@click.option("--all", "everything", is_flag=True, help="Remove all features, and what scans have noted.")
@click.option(
    "--data",
    is_flag=True,
    help="Also remove all pictures that were unpacked or fetched: lists that name them lead nowhere until "
    "`hubtune split` opens the archive or the address again.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@_json
def prune(
    older_than: str | None, keep: str | None, everything: bool, data: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove features; without options, only damaged files, leftovers, and what exceeds the limit.

    What was not used for the longest time goes first. All that --all removes is made again when it is needed.
    Weights stay: `hubtune hub prune` removes those.
    """
    from hubtune.text import format_bytes

    if everything and (older_than or keep):
        raise UsageError("Give --all, or --older-than and --keep, not both")
    since = None if older_than is None else time.time() - _duration(older_than)
    most = 0 if everything else None if keep is None else _size(keep)
    removed = _usable_cache().prune(unused_since=since, keep=most, dry_run=dry_run)
    freed = {
        "features": sum(entry.bytes for entry in removed),
        "looks": _discard_looks(dry_run=dry_run) if everything else 0,
        "data": _discard_data(dry_run=dry_run) if data else 0,
    }
    total = sum(freed.values())
    if as_json:
        print_json({"removed": len(removed), "bytes": total, "bytes_of": freed, "dry_run": dry_run})
        return
    of = ", ".join(f"{format_bytes(size)} of {what}" for what, size in freed.items() if size)
    parted = f" ({of})" if sum(map(bool, freed.values())) > 1 else ""
    click.echo(f"{format_bytes(total)} {'would be ' if dry_run else ''}freed{parted}")


def _discard_looks(*, dry_run: bool) -> int:
    """Remove what scans have noted; returns its bytes."""
    from hubtune.data.scan.scan_cache import cache_file, delete_scan_cache

    try:
        return bytes_in(cache_file()) if dry_run else delete_scan_cache()
    except OSError as error:
        raise _cannot_remove(cache_file(), error) from error


def _discard_data(*, dry_run: bool) -> int:
    """Remove what was unpacked and fetched, a source at a time; returns its bytes."""
    from hubtune.storage.atomic import with_ending
    from hubtune.storage.cache_folder import data_folder
    from hubtune.storage.lock import exclusive_lock

    freed = 0
    # Those that somebody left unfinished are removed with the source.
    found = filter(Path.is_dir, data_folder().glob("*/*"))
    sources = {path.with_name(path.name.removesuffix(".part")) for path in found}
    for folder in sorted(sources):
        unfinished = folder.with_name(f"{folder.name}.part")
        freed += bytes_in(folder) + bytes_in(unfinished)
        if dry_run:
            continue
        try:
            with exclusive_lock(with_ending(folder, ".lock")):
                if unfinished.exists():
                    shutil.rmtree(unfinished)
                # Under a name that says so, half of a source can never be taken for all of it.
                if folder.exists():
                    shutil.rmtree(folder.rename(unfinished))
        except OSError as error:
            raise _cannot_remove(folder, error) from error
    return freed


def _cannot_remove(path: Path, error: OSError) -> MachineError:
    return MachineError(f"{path} cannot be removed: {error.strerror or error}")


def bytes_in(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; 0 where there is none."""
    files = (
        [path] if path.is_file() else (Path(top, name) for top, _, names in os.walk(path) for name in names)
    )
    total = 0
    for file in files:
        with contextlib.suppress(OSError):  # another process may be removing it
            total += file.lstat().st_size
    return total


@command.command()
@_json
def verify(as_json: bool) -> None:
    """Read everything that is kept, and remove rows with damage; the others stay.

    Exit code 8 if there were any; what was in them is computed again when it is needed. No run needs this
    command: every run checks what it reads.
    """
    checked = list(_usable_cache().verify())
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
                        "saved_rows": space.saved_rows,
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
        saved = sum(space.saved_rows for space in checked)
        stay = f"; their {saved:,} good rows stay, in new files" if saved else ""
        say(
            f"Damaged files: {damaged}, removed: {removed}{stay}. What is damaged is computed again when it "
            "is needed"
        )
        if removed < damaged:
            say(
                f"Not to be read or written now, and left as they are: {damaged - removed}. Check the disk, "
                "its room and your permissions"
            )
        click.get_current_context().exit(CheckFailedError.exit_code)
    if not checked:
        say("No features are kept yet: there is nothing to verify")


def _usable_cache() -> "FeatureCache":
    """The cache.

    Raises:
        MachineError: its folder cannot be looked at, and not be made.
    """
    from hubtune.inference.feature_cache import FeatureCache

    cache = FeatureCache()
    try:
        with contextlib.suppress(FileNotFoundError):  # it is made when something is kept
            os.scandir(cache.folder).close()
    except OSError as error:
        raise MachineError(
            f"{cache.folder} cannot be used ({error.strerror or error}): set HUBTUNE_HOME to a folder that "
            "can be written"
        ) from error
    return cache


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
    from hubtune.inference.feature_cache import bytes_of

    try:
        return bytes_of(text)
    except ValueError as error:
        raise UsageError(f"--keep {error}") from error


def _weights_size() -> int:
    from hubtune.hub.weights_cache import cached_files

    return sum(map(bytes_in, itertools.chain.from_iterable(cached_files().values())))
