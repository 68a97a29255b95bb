"""``hubtune hub``: the available modules, and their weights on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import echo, echo_titled, print_json, print_table, say, shown
from hubtune.cli.lazy import CommandGroup
from hubtune.cli.options import PATH, json_option
from hubtune.errors import CheckFailedError, HubtuneError, ModelError, UsageError, suggest
from hubtune.storage.cache_folder import size_on_disk
from hubtune.text import escaped

if TYPE_CHECKING:
    from hubtune.hub.registry import ResolvedModule
    from hubtune.models.catalog import Pretrained


@click.group(cls=CommandGroup)
def command() -> None:
    """Pretrained modules: list them, fetch and check their weights.

    \b
    hubtune hub list 'resnet*'
    hubtune hub pull resnet50_vd_imagenet_ssld       for a machine that will be offline
    hubtune hub import FILE --as resnet50_imagenet   a file from elsewhere
    """


@command.command("list")
@click.argument("pattern", default="*")
@json_option
def list_modules(pattern: str, as_json: bool) -> None:
    """List the modules whose name or alias contains PATTERN; * and ? stand for any text.

    Accuracies are ImageNet's, as published. No network is used.
    """
    from hubtune.hub.describe import describe_pretrained, matches_pattern
    from hubtune.hub.registry import SHIPPED
    from hubtune.hub.weights import find_local_weights
    from hubtune.models.catalog import BY_NAME, PRETRAINED

    entries = [entry for entry in PRETRAINED if matches_pattern(pattern, entry.name, *entry.aliases)]
    shipped = [name for name in SHIPPED if matches_pattern(pattern, name)]
    if not entries and not shipped:
        near = suggest(pattern, [*BY_NAME, *SHIPPED])
        raise ModelError(
            f"No module's name has '{escaped(pattern)}' in it.{near} `hubtune hub list` shows all"
        )
    if as_json:
        print_json({"modules": [describe_pretrained(entry) for entry in entries], "shipped": shipped})
        return
    rows = [("module", "also", "parameters", "input", "top-1", "weights")]
    for entry in entries:
        backbone, weights = entry.backbone, entry.weights
        alias = entry.aliases[0] if entry.aliases else ""
        top1 = "" if weights is None or weights.top1 is None else f"{weights.top1:.2f}"
        place = "none" if weights is None else "on this machine" if find_local_weights(entry) else "to fetch"
        size = f"{backbone.parameters / 1e6:.1f} M"
        rows.append((entry.name, alias, size, str(backbone.input_size), top1, place))
    rows += [(name, "", "", "", "", "come with hubtune") for name in shipped]
    print_table(rows, sides="<<>>><", rule=False)


@command.command("show")
@click.argument("name")
@click.option("--trust-code", is_flag=True, help="Run the code of a module folder.")
@json_option
def show_module(name: str, trust_code: bool, as_json: bool) -> None:
    """Show the details of the module NAME: a hub name, a module folder or a weights file."""
    from hubtune.hub.describe import describe_pretrained, describe_resolved
    from hubtune.hub.registry import resolve_module
    from hubtune.models.catalog import BY_NAME

    module = resolve_module(name, trust_code=trust_code)
    backbone = module.pretrained.backbone
    stages = [stage.name for stage in backbone.stages(backbone.build(num_classes=1))]
    entry = BY_NAME.get(name)
    if as_json:
        facts = describe_pretrained(entry) if entry else describe_resolved(name, module)
        print_json({**facts, "stages": stages})
        return
    title = shown(name) if entry is None else entry.name
    others = () if entry is None else entry.aliases
    echo(f"{title} ({', '.join(others)})" if others else title)
    for label, text in _facts(module, entry, stages):
        echo_titled(label, text, 15, indent="  ")


@command.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def pull_modules(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch the official weights of modules for offline work, and check that they load."""
    from hubtune.cli.progress import download_bar
    from hubtune.hub.weights import find_published, pull_weights

    entries = [find_published(name) for name in names]
    pulled: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for entry in entries:
        try:
            with download_bar(entry.name) as progress:
                file = pull_weights(entry, progress=progress)
            hubtune.Module(entry.name)
        except HubtuneError as error:
            failures.append({"name": entry.name, "message": str(error), "exit_code": error.exit_code})
            say(f"{entry.name}: {shown(error)}")
            continue
        size = file.stat().st_size
        pulled.append({"name": entry.name, "file": str(file), "bytes": size})
        if not as_json:
            echo(f"{entry.name}  {size / 1e6:.1f} MB  {shown(file)}")
    if as_json:
        print_json({"modules": pulled, "failures": failures})
    if failures:
        click.get_current_context().exit(failures[-1]["exit_code"])


@command.command("verify")
@json_option
def verify_weights(as_json: bool) -> None:
    """Compare every weights file on this machine with its published or recorded checksum.

    Exit code 8 if one in hubtune's cache is damaged; damaged files of other programs are only skipped.
    """
    from hubtune.hub.describe import check_local_weights

    files = list(check_local_weights())
    damaged = sum(local.is_own and local.error is not None for local in files)
    if as_json:
        documents = [
            {"name": local.name, "file": str(local.file), "damage": local.error, "own": local.is_own}
            for local in files
        ]
        print_json({"files": documents, "damaged": damaged})
    else:
        for local in files:
            state = "ok" if local.error is None else "DAMAGED" if local.is_own else "not used"
            reason = "" if local.error is None else f": {shown(local.error)}"
            echo_titled(state, f"{local.name}  {shown(local.file)}{reason}", 9)
    if damaged:
        say(
            f"{damaged} of {len(files)} weights files are damaged: `hubtune hub prune` removes them, and "
            "`hubtune hub pull NAME` fetches them again"
        )
        click.get_current_context().exit(CheckFailedError.exit_code)
    if not files:
        say("No weights on this machine yet: hubtune hub pull NAME")


@command.command("prune")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "everything", is_flag=True, help="Remove all weights from hubtune's cache.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
def prune_weights(names: tuple[str, ...], everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the weights of the modules NAME; without names, interrupted downloads and damaged files.

    Only hubtune's own cache is changed.
    """
    from hubtune.hub import weights_cache
    from hubtune.hub.describe import check_local_weights
    from hubtune.models.catalog import find

    if names and everything:
        raise UsageError("Give names or --all, not both")
    if names:
        published = [find(name).weights for name in names]
        paths = [weights_cache.cache_path(weights.url) for weights in published if weights is not None]
        doomed = {path: files for path, files in weights_cache.cached_files().items() if path in paths}
    elif everything:
        doomed = weights_cache.cached_files()
    else:
        # Recorded checksums stay: the next download must be the same file.
        damaged = [local.file for local in check_local_weights() if local.error and local.is_own]
        doomed = weights_cache.partial_downloads() | {file: [file] for file in damaged}
    removed: list[dict[str, Any]] = []
    for path, files in doomed.items():
        sizes = [{"file": str(file), "bytes": size_on_disk(file)} for file in files]
        if dry_run or weights_cache.delete_cached_file(path, files):
            removed += sizes
        else:
            say(f"{shown(path)} is being fetched by another process, and stays")
    if as_json:
        print_json({"removed": removed, "dry_run": dry_run})
        return
    for entry in removed:
        echo(shown(entry["file"]))
    total = sum(entry["bytes"] for entry in removed) / 1e6
    say(f"{len(removed)} files, {total:.1f} MB, {'would be ' if dry_run else ''}removed")


@command.command("import")
@click.argument("file", type=PATH)
@click.option("--as", "name", required=True, metavar="NAME", help="The module that the weights belong to.")
@json_option
def import_file(file: Path, name: str, as_json: bool) -> None:
    """Copy FILE into the cache as a module's official weights, as if they had been fetched.

    The file must hold all tensors of the network, and match a published checksum. It may also be what
    Paddle 1 wrote: a folder of parameters, or an archive such as ResNet50_pretrained.tar.
    """
    from hubtune.hub.weights import find_published, import_weights
    from hubtune.storage.safe_load import read_weights

    entry = find_published(name)
    read_weights(file)  # its message for a file that is not weights says more
    path = import_weights(file, entry)
    if as_json:
        print_json({"name": entry.name, "file": str(path)})
    else:
        echo(f"{entry.name}  {shown(path)}")


@command.command("new")
@click.argument("folder", type=PATH, metavar="DIR")
def new_module(folder: Path) -> None:
    """Write a module of your own to the new folder DIR: a small network that works, to be changed."""
    from hubtune.hub.new_module import write_skeleton

    write_skeleton(folder)
    place = shown(folder)
    echo(f"{place} written: module.yaml describes it, module.py builds the network")
    say(
        f"Try it:  hubtune finetune PICTURES -o module.name={place} -o module.weights=none "
        "-o strategy=scratch --trust-code"
    )


def _facts(
    module: "ResolvedModule", entry: "Pretrained | None", stages: list[str]
) -> Iterator[tuple[str, str]]:
    backbone, images = module.pretrained.backbone, module.preprocessing
    yield "architecture", f"{backbone.name}: {backbone.parameters:,} parameters, {backbone.width:,} features"
    yield "stages", ", ".join(stages)
    fit = {
        "crop": f"short side to {images.resize}, then the centre",
        "whole": f"whole, long side to {images.resize}",
        "pad": "whole, padded to a square",
        "stretch": "stretched to a square",
        "stretch_crop": f"stretched to {images.resize} × {images.resize}, then the centre",
    }[images.fit]
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (images.mean, images.std))
    size = f"{images.size} × {images.size}"
    yield "input", f"{size}, RGB; {fit}; {images.interpolation}; mean {mean}, std {std}"
    multiple = backbone.size_multiple
    yield "other sizes", {None: "no", 1: "yes"}.get(multiple, f"multiples of {multiple}")
    if entry is None:
        file = module.own_weights()
        yield "weights", shown(file) if file else "none"
        if module.labels:
            yield "classes", shown(", ".join(module.labels[:10])) + (" …" if len(module.labels) > 10 else "")
        return
    yield from _weights_facts(entry)
    other = [backbone.name, *(weights.names[0] for weights in backbone.variants)]
    if len(other) > 1:
        yield "other weights", ", ".join(name for name in other if name != entry.name)


def _weights_facts(entry: "Pretrained") -> Iterator[tuple[str, str]]:
    from hubtune.hub.weights import find_local_weights

    weights = entry.weights
    if weights is None:
        yield "weights", "none are published: training starts from random values"
        return
    published = (("top-1", weights.top1), ("top-5", weights.top5))
    accuracy = [f"{name} {value:.2f} %" for name, value in published if value is not None]
    yield "ImageNet", f"{', '.join(accuracy)} (as published)" if accuracy else "no accuracy is published"
    yield "weights", weights.url
    yield "licence", weights.licence
    checksum = (
        "none: weights not verified; the checksum of the first file is recorded, and later ones must match"
    )
    if weights.sha256 or weights.md5:
        checksum = f"sha256 {weights.sha256}" if weights.sha256 else f"md5 {weights.md5}"
    yield "published sum", checksum
    file = find_local_weights(entry)
    yield "on this machine", shown(file) if file else f"not yet: hubtune hub pull {entry.name}"
