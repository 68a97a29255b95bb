"""``hubtune hub``: the modules that there are, and their weights on this machine."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.errors import CheckFailedError, HubtuneError, ModelError, UsageError, suggest

if TYPE_CHECKING:
    from hubtune.data.images.preprocessing import Preprocessing
    from hubtune.hub.registry import Resolved
    from hubtune.models.backbone import Backbone
    from hubtune.models.catalog import Pretrained

_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def command() -> None:
    """Pretrained modules: list them, fetch their weights, keep them in order.

    \b
    hubtune hub list 'resnet*'
    hubtune hub pull resnet50_vd_imagenet_ssld       for a machine that will be offline
    hubtune hub import FILE --as resnet50_imagenet   a file that came by other ways
    """


@command.command("list")
@click.argument("pattern", default="*")
@_json
def list_modules(pattern: str, as_json: bool) -> None:
    """List the modules whose name or other name has PATTERN in it; * and ? stand for any text.

    Accuracies are ImageNet's, as published. No network is used.
    """
    from hubtune.hub.registry import SHIPPED
    from hubtune.models.catalog import BY_NAME, PRETRAINED

    entries = [entry for entry in PRETRAINED if _matches(pattern, (entry.name, *entry.aliases))]
    shipped = [name for name in SHIPPED if _matches(pattern, (name,))]
    if not entries and not shipped:
        near = suggest(pattern, [*BY_NAME, *SHIPPED])
        raise ModelError(f"No module's name has {pattern!r} in it.{near} `hubtune hub list` shows all")
    if as_json:
        print_json({"modules": [_described(entry) for entry in entries], "shipped": shipped})
        return
    rows = [("module", "also", "parameters", "input", "top-1", "weights")]
    for entry in entries:
        top1 = entry.weights.top1 if entry.weights else None
        rows.append(
            (
                entry.name,
                entry.aliases[0] if entry.aliases else "",
                f"{entry.backbone.parameters / 1e6:.1f} M",
                str(entry.backbone.input_size),
                "" if top1 is None else f"{top1:.2f}",
                _where(entry),
            )
        )
    rows += [(name, "", "", "", "", "come with hubtune") for name in shipped]
    print_table(rows, sides="<<>>><", rule=False)


@command.command()
@click.argument("name")
@click.option("--trust-code", is_flag=True, help="Run the code of a module folder.")
@_json
def show(name: str, trust_code: bool, as_json: bool) -> None:
    """Tell everything about the module NAME: a hub name, a module folder or a weights file."""
    from hubtune.hub.registry import resolve_module
    from hubtune.models.catalog import BY_NAME

    found = resolve_module(name, trust_code=trust_code)
    backbone = found.pretrained.backbone
    stages = [stage.name for stage in backbone.stages(backbone.build(num_classes=1))]
    entry = BY_NAME.get(name)
    if as_json:
        print_json({**(_described(entry) if entry else _described_own(name, found)), "stages": stages})
        return
    title = shown(name) if entry is None else entry.name
    others = () if entry is None else entry.aliases
    click.echo(f"{title} ({', '.join(others)})" if others else title)
    for label, text in _facts(found, entry, stages):
        click.echo(f"  {label:<15} {text}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_json
def pull(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch the official weights of modules, check that they load, and keep them for work offline."""
    from hubtune.cli.progress import download_bar
    from hubtune.hub import weights
    from hubtune.hub.module import Module

    entries = [_with_weights(name) for name in names]
    pulled: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for entry in entries:
        try:
            with download_bar(entry.name) as progress:
                file = weights.pull_weights(entry, progress=progress)
            Module(entry.name)
        except HubtuneError as error:
            failures.append({"name": entry.name, "message": str(error), "exit_code": error.exit_code})
            say(f"{entry.name}: {shown(str(error))}")
            continue
        pulled.append({"name": entry.name, "file": str(file), "bytes": file.stat().st_size})
        if not as_json:
            click.echo(f"{entry.name}  {_size(file.stat().st_size)}  {shown(str(file))}")
    if as_json:
        print_json({"modules": pulled, "failures": failures})
    if failures:
        click.get_current_context().exit(failures[-1]["exit_code"])


@command.command()
@_json
def verify(as_json: bool) -> None:
    """Hold every weights file on this machine against its published or recorded sum.

    Exit code 8 if one in hubtune's cache is damaged; files of other programs are merely passed over.
    """
    from hubtune.hub import weights_cache

    folder = weights_cache.weights_folder()
    rows = [(name, file, reason, file.parent == folder) for name, file, reason in _checked_files()]
    damaged = sum(own and reason is not None for *_, reason, own in rows)
    if as_json:
        print_json(
            {
                "files": [
                    {"name": name, "file": str(file), "damage": reason, "own": own}
                    for name, file, reason, own in rows
                ],
                "damaged": damaged,
            }
        )
    else:
        for name, file, reason, own in rows:
            state = "ok" if reason is None else "DAMAGED" if own else "not used"
            because = "" if reason is None else f": {shown(reason)}"
            click.echo(f"{state:<8}  {name}  {shown(str(file))}{because}")
    if damaged:
        say(
            f"{damaged} of {len(rows)} weights files are damaged: `hubtune hub prune` removes them, and "
            "`hubtune hub pull NAME` fetches them again"
        )
        click.get_current_context().exit(CheckFailedError.exit_code)
    if not rows:
        say("No weights on this machine yet: hubtune hub pull NAME")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "everything", is_flag=True, help="Remove all weights from hubtune's cache.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@_json
def prune(names: tuple[str, ...], everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the weights of the modules NAME; without names, interrupted downloads and damaged files.

    Only hubtune's own cache is touched.
    """
    from hubtune.hub import weights_cache
    from hubtune.models.catalog import find

    if names and everything:
        raise UsageError("Give names or --all, not both")
    folder = weights_cache.weights_folder()
    if names:
        published = [find(name).weights for name in names]
        places = [weights_cache.cached(weights.url) for weights in published if weights is not None]
        doomed = {place: files for place, files in weights_cache.contents().items() if place in places}
    elif everything:
        doomed = weights_cache.contents()
    else:
        # Their recorded sums stay: what is fetched next must be the same file.
        damaged = {
            file: [file] for _, file, bad in _checked_files() if bad is not None and file.parent == folder
        }
        doomed = weights_cache.interrupted() | damaged
    removed: list[dict[str, Any]] = []
    for place, files in doomed.items():
        sizes = [{"file": str(file), "bytes": _bytes(file)} for file in files]
        if dry_run or weights_cache.delete_cached_file(place, files):
            removed += sizes
        else:
            say(f"{shown(str(place))} is just being fetched, and stays")
    if as_json:
        print_json({"removed": removed, "dry_run": dry_run})
        return
    for entry in removed:
        click.echo(shown(entry["file"]))
    total = _size(sum(entry["bytes"] for entry in removed))
    say(f"{len(removed)} files, {total}, {'would be ' if dry_run else ''}removed")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="The module that the weights are of.")
@_json
def import_file(file: Path, name: str, as_json: bool) -> None:
    """Keep FILE in the cache as the official weights of a module, as if they had been fetched.

    The file must hold all tensors of the network, and where a sum is published, have it.
    """
    from hubtune.hub.weights import adopt
    from hubtune.storage.safe_load import read_weights

    entry = _with_weights(name)
    read_weights(file)  # what is no weights file at all is told in its own words
    place = adopt(file, entry)
    if as_json:
        print_json({"name": entry.name, "file": str(place)})
    else:
        click.echo(f"{entry.name}  {shown(str(place))}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def new(folder: Path) -> None:
    """Write a module of your own to the new folder DIR: a small network that works, to be changed."""
    from hubtune.hub.new_module import write_skeleton

    write_skeleton(folder)
    # A bare name might also be a hub name.
    place = shown(str(folder if folder.is_absolute() else Path(folder)))
    click.echo(f"{place} written: module.yaml says what it is, module.py builds the network")
    say(
        f"Try it:  hubtune finetune PICTURES -o module.name={place} -o module.weights=none "
        "-o strategy=scratch --trust-code"
    )


def _with_weights(name: str) -> "Pretrained":
    from hubtune.hub.registry import SHIPPED
    from hubtune.models.catalog import find

    if name in SHIPPED:
        raise ModelError(f"{name} comes with hubtune, weights included: there is nothing to fetch")
    entry = find(name)
    if entry.weights is None:
        raise ModelError(f"No official weights are published for {entry.name}: leave it out")
    return entry


def _matches(pattern: str, names: tuple[str, ...]) -> bool:
    wanted = pattern.lower() if any(mark in pattern for mark in "*?[") else f"*{pattern.lower()}*"
    return any(fnmatchcase(name.lower(), wanted) for name in names)


def _where(entry: "Pretrained") -> str:
    from hubtune.hub.weights import kept

    if entry.weights is None:
        return "none"
    return "on this machine" if kept(entry) else "to fetch"


def _described(entry: "Pretrained") -> dict[str, Any]:
    from hubtune.hub.registry import preprocessing_of
    from hubtune.hub.weights import kept

    document = {
        "name": entry.name,
        "aliases": list(entry.aliases),
        **_architecture(entry.backbone, preprocessing_of(entry.backbone)),
        "weights": None,
    }
    weights = entry.weights
    if weights is not None:
        file = kept(entry)
        document["weights"] = {
            "url": weights.url,
            "sha256": weights.sha256,
            "md5": weights.md5,
            "licence": weights.licence,
            "top1": weights.top1,
            "top5": weights.top5,
            "file": file and str(file),
        }
    return document


def _described_own(name: str, found: "Resolved") -> dict[str, Any]:
    """The same of a module folder or a weights file."""
    file = found.own_weights()
    return {
        "name": name,
        "aliases": [],
        **_architecture(found.pretrained.backbone, found.preprocessing),
        "weights": file and {"file": str(file)},
        "classes": list(found.labels),
    }


def _architecture(backbone: "Backbone", preprocessing: "Preprocessing") -> dict[str, Any]:
    return {
        "architecture": backbone.name,
        "parameters": backbone.parameters,
        "width": backbone.width,
        "size_multiple": backbone.size_multiple,
        "preprocessing": preprocessing.model_dump(),
    }


def _facts(found: "Resolved", entry: "Pretrained | None", stages: list[str]) -> Iterator[tuple[str, str]]:
    backbone, images = found.pretrained.backbone, found.preprocessing
    yield "architecture", f"{backbone.name}: {backbone.parameters:,} parameters, {backbone.width:,} features"
    yield "stages", ", ".join(stages)
    yield (
        "input",
        f"{images.size} × {images.size}, RGB; {_fitted(images)}, {images.interpolation}; "
        f"mean {_numbers(images.mean)}, std {_numbers(images.std)}",
    )
    multiple = backbone.size_multiple
    yield (
        "other sizes",
        "no" if multiple is None else "yes" if multiple == 1 else f"multiples of {multiple}",
    )
    if entry is None:
        file = found.own_weights()
        yield "weights", shown(str(file)) if file else "none"
        if found.labels:
            yield "classes", shown(", ".join(found.labels[:10])) + (" …" if len(found.labels) > 10 else "")
        return
    yield from _weights_facts(entry)
    other = [backbone.name, *(weights.names[0] for weights in backbone.variants)]
    if len(other) > 1:
        yield "other weights", ", ".join(name for name in other if name != entry.name)


def _weights_facts(entry: "Pretrained") -> Iterator[tuple[str, str]]:
    from hubtune.hub.weights import kept

    weights = entry.weights
    if weights is None:
        yield "weights", "none are published: it is trained from random values"
        return
    published = (("top-1", weights.top1), ("top-5", weights.top5))
    accuracy = [f"{what} {value:.2f} %" for what, value in published if value is not None]
    yield "ImageNet", f"{', '.join(accuracy)} (as published)" if accuracy else "no accuracy is published"
    yield "weights", weights.url
    yield "licence", weights.licence
    if weights.sha256 or weights.md5:
        yield "published sum", f"sha256 {weights.sha256}" if weights.sha256 else f"md5 {weights.md5}"
    else:
        yield (
            "published sum",
            "none: weights not verified; the sum of the first file is recorded, and holds from then on",
        )
    file = kept(entry)
    yield "on this machine", shown(str(file)) if file else f"not yet: hubtune hub pull {entry.name}"


def _fitted(images: "Preprocessing") -> str:
    return {
        "crop": f"short side to {images.resize}, then the centre",
        "whole": f"whole, long side to {images.resize}",
        "pad": "whole, padded to a square",
        "stretch": "stretched to a square",
        "stretch_crop": f"stretched to {images.resize} × {images.resize}, then the centre",
    }[images.fit]


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # another process may be removing it, too
        return 0


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _checked_files() -> Iterator[tuple[str, Path, str | None]]:
    """Name, file and damage of every weights file on this machine that a module would use."""
    from hubtune.hub.weights import kept, weights_error
    from hubtune.models.catalog import PRETRAINED

    for entry in PRETRAINED:
        if entry.weights is None:
            continue
        file = kept(entry)
        if file is not None:
            yield entry.name, file, weights_error(entry, file)
