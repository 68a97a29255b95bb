"""``hubtune cache``: what is computed or fetched once and stored, its size, and how to remove it."""

import contextlib
import itertools
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import echo, print_json, print_table, say, shown
from hubtune.cli.lazy import CommandGroup
from hubtune.cli.options import json_option
from hubtune.errors import CheckFailedError, MachineError, UsageError
from hubtune.storage.cache_folder import data_folder, remove_data, size_on_disk
from hubtune.text import format_bytes, parse_bytes

if TYPE_CHECKING:
    from hubtune.inference.feature_cache import FeatureCache

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@click.group(cls=CommandGroup)
def command() -> None:
    """Features, scan results, unpacked and fetched pictures: list, check and remove them.

    \b
    hubtune cache ls
    hubtune cache prune --older-than 30d
    HUBTUNE_CACHE_SIZE=2GB hubtune finetune pics/     10GB if unset; 0 stores no features
    """


@command.command("ls")
@json_option
def list_cache(as_json: bool) -> None:
    """List the stored features, the last used first, and the size of everything else."""
    from hubtune.data.scan.scan_cache import cache_file
    from hubtune.hub.weights_cache import cached_files, weights_folder
    from hubtune.inference.stored_program import programs_folder

    cache = _usable_cache()
    spaces, size = cache.spaces(), cache.size()
    weights_size = sum(map(size_on_disk, itertools.chain.from_iterable(cached_files().values())))
    data_size, scan_size = size_on_disk(data_folder()), size_on_disk(cache_file())
    programs_size = size_on_disk(programs_folder())
    if as_json:
        features = {
            "folder": str(cache.folder),
            "limit": cache.limit,
            "bytes": size,
            "spaces": [
                {
                    "name": space.name,
                    "description": space.description,
                    "pictures": space.images,
                    "bytes": space.bytes,
                    "last_used": datetime.fromtimestamp(space.used, UTC).isoformat(timespec="seconds"),
                }
                for space in spaces
            ],
        }
        looks = {"file": str(cache_file()), "bytes": scan_size}
        data = {"folder": str(data_folder()), "bytes": data_size}
        weights = {"folder": str(weights_folder()), "bytes": weights_size}
        programs = {"folder": str(programs_folder()), "bytes": programs_size}
        print_json({**features, "looks": looks, "data": data, "programs": programs, "weights": weights})
        return
    if spaces:
        table = [["module", "layer", "view", "engine", "pictures", "size", "last used"]]
        for space in spaces:
            age = _format_age(time.time() - space.used)
            table.append([*_labels(space.description), f"{space.images:,}", format_bytes(space.bytes), age])
        print_table(table, sides="<<<<>><", rule=False)
    else:
        say("No features are stored yet: the first run with a frozen network computes them")
    say(f"features  {format_bytes(size)} of at most {format_bytes(cache.limit)}  {shown(cache.folder)}")
    for name, path, size, hint in (
        ("scans", cache_file(), scan_size, "scan results; `hubtune cache prune --all` removes them"),
        (
            "programs",
            programs_folder(),
            programs_size,
            "of models, for a quick start; `hubtune cache prune --all` removes them",
        ),
        ("data", data_folder(), data_size, "unpacked and fetched pictures; `hubtune cache prune --data`"),
        ("weights", weights_folder(), weights_size, "downloaded weights; see `hubtune hub prune --help`"),
    ):
        if size:
            say(f"{name:<8}  {format_bytes(size)}  {shown(path)}: {hint}")


@command.command("prune")
@click.option(
    "--older-than", metavar="TIME", help="Remove features that were last used longer ago: 12h, 30d, 8w."
)
@click.option("--keep", metavar="SIZE", help="Leave at most this size of features: 2GB, 500MB.")
@click.option("--all", "everything", is_flag=True, help="Remove all features, scan results and programs.")
@click.option(
    "--data",
    is_flag=True,
    help="Also remove all unpacked and fetched pictures. Lists that name them are of no use until "
    "`hubtune split` opens the archive or the address again.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
def prune_cache(
    older_than: str | None, keep: str | None, everything: bool, data: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove features; without options, only files of older versions and what exceeds the limit.

    What was not used for the longest time goes first. What --all removes is computed again when it is needed.
    Weights stay: `hubtune hub prune` removes those.
    """
    from hubtune.data.scan.scan_cache import cache_file, delete_scan_cache
    from hubtune.inference.stored_program import delete_programs, programs_folder

    if everything and (older_than or keep):
        raise UsageError("Give --all, or --older-than and --keep, not both")
    since = None if older_than is None else time.time() - _parse_duration(older_than)
    try:
        most = 0 if everything else None if keep is None else parse_bytes(keep)
    except ValueError as error:
        raise UsageError(f"--keep {error}") from error
    count, features = _usable_cache().prune(unused_since=since, keep=most, dry_run=dry_run)
    freed = {"features": features, "looks": 0, "data": 0, "programs": 0}
    try:
        if everything:
            freed["looks"] = size_on_disk(cache_file()) if dry_run else delete_scan_cache()
            freed["programs"] = size_on_disk(programs_folder()) if dry_run else delete_programs()
        if data:
            freed["data"] = size_on_disk(data_folder()) if dry_run else remove_data()
    except OSError as error:
        raise MachineError(f"{error.filename} cannot be removed: {error.strerror or error}") from error
    total = sum(freed.values())
    if as_json:
        print_json({"removed": count, "bytes": total, "bytes_of": freed, "dry_run": dry_run})
        return
    parts = [f"{format_bytes(size)} of {name}" for name, size in freed.items() if size]
    detail = f" ({', '.join(parts)})" if len(parts) > 1 else ""
    echo(f"{format_bytes(total)} {'would be ' if dry_run else ''}freed{detail}")


@command.command("verify")
@json_option
def verify_cache(as_json: bool) -> None:
    """Read all stored features, and remove the damaged rows.

    Exit code 8 if there are any; they are computed again when they are needed. No run needs this command:
    every run checks what it reads.
    """
    cache = _usable_cache()
    spaces = list(cache.verify())
    whole = cache.database.replaced
    damaged = sum(count for _, count, _ in spaces) + whole
    removed = sum(count for _, _, count in spaces) + whole
    if as_json:
        names = ("name", "description", "rows", "damaged_rows", "removed_rows")
        rows = [(space.name, space.description, space.images, *counts) for space, *counts in spaces]
        print_json({"spaces": [dict(zip(names, row, strict=True)) for row in rows], "damaged": damaged})
    else:
        for space, count, _ in spaces:
            what = "  ".join(filter(None, _labels(space.description)))
            detail = f": {count:,} damaged" if count else ""
            echo(f"{'DAMAGED' if count else 'ok':<7}  {what}  {space.images:,} rows{detail}")
    if whole:
        say("The file was damaged as a whole, and is replaced by an empty one")
    if damaged:
        counts = f"Damaged: {damaged:,}, removed: {removed:,}"
        say(f"{counts}. What is damaged is computed again when it is needed")
        if removed < damaged:
            say("The rest cannot be removed now. Check the disk, its free space and your permissions")
        click.get_current_context().exit(CheckFailedError.exit_code)
    if not spaces:
        say("No features are stored yet: there is nothing to verify")


def _usable_cache() -> "FeatureCache":
    from hubtune.inference.feature_cache import FeatureCache

    cache = FeatureCache()
    cache.spaces()  # opens the file
    reason = cache.database.error
    try:
        with contextlib.suppress(FileNotFoundError):  # it is made when the first features are stored
            os.scandir(cache.folder).close()
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise MachineError(
            f"{cache.folder} cannot be used ({reason}): set HUBTUNE_HOME to a folder that can be written"
        )
    return cache


def _labels(description: Mapping[str, Any]) -> tuple[str, ...]:
    from hubtune.data.images.preprocessing import Preprocessing

    module, layer, view, engine, what = map(description.get, ("module", "layer", "view", "engine", "what"))
    if isinstance(view, dict):
        with contextlib.suppress(ValueError):  # of a version with other views
            view = Preprocessing.model_validate(view).description
    # Not everything that is stored is a network's output; the rest says what it is.
    labels = (module or "?", layer or what, view, engine)
    return tuple(shown(label or "") for label in labels)


def _format_age(seconds: float) -> str:
    for noun, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {noun} ago"
    return "just now"


def _parse_duration(text: str) -> int:
    parts = re.fullmatch(r"([0-9]{1,6})\s*([hdw])", text.strip().lower())
    if parts is None:
        raise UsageError(f"--older-than {text!r} is not a time: write 12h, 30d or 8w")
    return int(parts[1]) * _SECONDS[parts[2]]
