"""``hubtune scan``."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.answers import check_target, trust_option, weights_option
from hubtune.cli.console import SCHEMA_VERSION, print_table, say, shown
from hubtune.cli.found import quoted
from hubtune.cli.seen import features_among, network_of
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.log import show_on_stderr

if TYPE_CHECKING:
    import numpy as np

    from hubtune.data.audit.issues import Issue, IssueFile, LabelCheck
    from hubtune.data.dedup.groups import DuplicateGroup
    from hubtune.data.listing import ImageEntry, Listing
    from hubtune.data.scan.scanner import Scan

_MOST_CLASSES = 40  # that the table shows
_MOST_NAMES = 3  # of files, or groups of files, that a finding shows
_WIDEST = 110


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write an HTML page with thumbnails to look at; an earlier one is replaced.",
)
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Copy the unreadable and suspect files there, a folder a kind: a new folder, or an empty one.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Also look for wrong labels, by what this module sees (`hubtune hub list` shows all).",
)
@weights_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with each file's facts.")
def command(
    source: str,
    page: Path | None,
    quarantine: Path | None,
    module: str | None,
    weights: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Inspect every picture of SOURCE, and list the issues, most severe first.

    SOURCE is what `hubtune split` takes: a folder with a folder of pictures for each class, and others. Each
    file is read to its last byte; the next scan opens only files that are new or changed. Nothing is ever
    written into the folder of pictures, moved or removed.

    \b
    hubtune scan pics/
    hubtune scan pics/ --page scan.html
    hubtune scan pics/ --module mobilenet_v2_imagenet --quarantine suspect/
    """
    from hubtune.cli.lists import copies_among, opened
    from hubtune.cli.progress import counting_bar
    from hubtune.data.audit.issues import find_issues
    from hubtune.data.scan.scanner import inspect_listing

    show_on_stderr()
    check_target(page, "--page")
    network = network_of(module, weights, trust_code)
    listing = opened(source)
    _check_places(source, listing, page, quarantine)
    with counting_bar("reading pictures") as advance:
        scan = inspect_listing(listing, advance=advance)
    images = [image for own in scan.classes.values() for image in own]
    groups = copies_among(images)
    labels = None
    if network is not None and images:
        labels = _check_labels(scan, groups, features_among(images, network))
    findings = find_issues(scan, groups, labels)
    if page is not None:
        _write_page(page, source, scan, findings)
    copied = 0 if quarantine is None else _copy(findings, quarantine)
    if as_json:
        _print_as_json(source, scan, findings)
    else:
        _print_table(scan, images)
        _print_findings(findings)
        for remark in scan.notes:
            say(f"• {shown(remark)}")
    if quarantine is not None:
        say(f"{copied:,} files copied to {quoted(quarantine)}")
    if page is not None:
        say(f"To look at: {quoted(page)}")
    elif findings and not as_json:
        say(f"To look at them: hubtune scan {quoted(source)} --page scan.html")
    if not images:
        say(f"{shown(source)} holds no picture that can be read")
        click.get_current_context().exit(DataError.exit_code)


def _check_places(source: str, listing: "Listing", page: Path | None, quarantine: Path | None) -> None:
    """Refuse places to write to that are in the data, or in use."""
    data = {file.path.parent.resolve() for file in listing.files}
    if "://" not in source and Path(source).is_dir():
        data.add(Path(source).resolve())
    for place, option in ((page, "--page"), (quarantine, "--quarantine")):
        if place is not None and data & {place.resolve(), *place.resolve().parents}:
            raise UsageError(f"{option} {place} lies in the data itself: name another place")
    if quarantine is None:
        return
    if quarantine.exists() and (not quarantine.is_dir() or any(quarantine.iterdir())):
        raise UsageError(f"--quarantine {quarantine} is in use already: name a new folder, or an empty one")
    if not quarantine.parent.is_dir():
        raise UsageError(f"There is no folder {quarantine.parent} to write into: make it first")


def _check_labels(scan: "Scan", groups: "Sequence[DuplicateGroup]", features: "np.ndarray") -> "LabelCheck":
    """Find labels that are probably wrong."""
    import numpy as np

    from hubtune.data.dedup.duplicates import find_bursts
    from hubtune.data.dedup.groups import merge_groups
    from hubtune.inference.label_errors import find_label_errors

    labels = np.array([image.label for own in scan.classes.values() for image in own])
    # An image in no group is a group of its own.
    group_of = list(range(len(labels)))
    for group in merge_groups([*groups, *find_bursts(features)]):
        for index in group.members:
            group_of[index] = group.members[0]
    return find_label_errors(features, labels, group_of)


def _write_page(page: Path, source: str, scan: "Scan", findings: "Sequence[Issue]") -> None:
    from hubtune.report.scan_page import render_scan_page
    from hubtune.storage.atomic import write_atomically

    try:
        write_atomically(page, render_scan_page(source, scan, findings))
    except OSError as error:
        raise MachineError(f"{page} cannot be written: {error.strerror or error}") from error


def _copy(findings: "Iterable[Issue]", folder: Path) -> int:
    """Copy what is suspect, ``<kind>/<name>``; returns how many files there are."""
    copied = 0
    try:
        for finding in findings:
            if not finding.suspect:
                continue
            for item in finding.files:
                if not item.path.is_file():  # a link that leads nowhere, a folder, a pipe
                    continue
                target = folder / finding.kind / _inside(item.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    shutil.copyfile(item.path, target)
                except PermissionError as error:
                    if error.filename != str(item.path):
                        raise
                    say(f"{shown(item.name)} cannot be copied: {error.strerror}")
                    continue
                copied += 1
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written: {error.strerror or error}; {copied:,} files were copied before"
        ) from error
    return copied


def _inside(name: str) -> PurePosixPath:
    """A name as a path that leads nowhere else: a table may name files anywhere."""
    return PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))


def _print_as_json(source: str, scan: "Scan", findings: "Sequence[Issue]") -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "pictures": sum(map(len, scan.classes.values())),
        "classes": {label: len(own) for label, own in scan.classes.items()},
        "findings": [
            {
                "kind": finding.kind,
                "title": finding.title,
                "advice": finding.advice,
                "groups": [[_item_as_dict(item) for item in group] for group in finding.groups],
            }
            for finding in findings
        ],
        "remarks": scan.notes,
    }
    # Of a million files, line by line.
    click.echo(json.dumps(document)[:-1] + ', "files": [', nl=False)
    parted = ""
    for file in _files_as_dicts(scan):
        click.echo(parted + json.dumps(file), nl=False)
        parted = ",\n"
    click.echo("]}")


def _item_as_dict(item: "IssueFile") -> dict[str, Any]:
    return {"name": item.name, "path": str(item.path), "label": item.label, "note": item.note}


def _files_as_dicts(scan: "Scan") -> Iterator[dict[str, Any]]:
    for label, own in scan.classes.items():
        for image in own:
            facts = image.info
            if facts is not None:
                known = {name: getattr(facts, name) for name in facts.__slots__ if name != "fingerprint"}
                yield {"name": image.name, "path": str(image.path), "label": label, **known}
    for entry in scan.left_out:
        yield {"path": str(entry.path), "unreadable": entry.reason}


def _print_table(scan: "Scan", images: "Sequence[ImageEntry]") -> None:
    from hubtune.text import plural

    lines = [(shown(label), f"{len(own):,}") for label, own in scan.classes.items()]
    more = lines[_MOST_CLASSES:]
    if more:
        lines[_MOST_CLASSES:] = [(f"and {plural(len(more), 'class')[:-1]}es more", "")]
    print_table([("class", "pictures"), *lines, ("total", f"{len(images):,}")], total=True)
    facts = [image.info for image in images if image.info is not None]
    if not facts:
        return
    sizes = Counter((own.width, own.height) for own in facts)
    [(most, _)] = sizes.most_common(1)
    said = [
        _counts(own.format for own in facts),
        _counts(own.mode for own in facts),
        f"most of {most[0]:,} × {most[1]:,} pixels"
        if len(sizes) > 1
        else f"{most[0]:,} × {most[1]:,} pixels",
    ]
    if len(sizes) > 1:
        smallest, largest = (
            choose(sizes, key=lambda size: (size[0] * size[1], size)) for choose in (min, max)
        )
        said.append(f"from {smallest[0]:,} × {smallest[1]:,} to {largest[0]:,} × {largest[1]:,}")
    turned = sum(own.orientation != 1 for own in facts)
    if turned:
        said.append(f"{turned:,} turned upright as their EXIF data say")
    click.echo("\n" + "; ".join(said))


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {number:,}" for word, number in Counter(words).most_common())


def _print_findings(findings: "Sequence[Issue]") -> None:
    if not findings:
        click.echo("\nNo issues found.")
        return
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    click.echo("\nIssues, most severe first:")
    for finding in findings:
        click.echo(f"\n{shown(finding.title)}")
        for group in finding.groups[:_MOST_NAMES]:
            names = " = ".join(shown(item.name) for item in group[:_MOST_NAMES])
            more = f" = … ({len(group):,})" if len(group) > _MOST_NAMES else ""
            note = f": {shown(group[0].note)}" if group[0].note else ""
            click.echo(f"    {names}{more}{note}")
        if len(finding.groups) > _MOST_NAMES:
            click.echo(f"    and {len(finding.groups) - _MOST_NAMES:,} more")
        click.echo(click.wrap_text(finding.advice, width, initial_indent="  → ", subsequent_indent="    "))
