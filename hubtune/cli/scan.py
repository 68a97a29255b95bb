"""``hubtune scan``."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import SCHEMA_VERSION, echo, print_table, say, shown
from hubtune.cli.feature_module import label_checker_by, load_module
from hubtune.cli.inputs import check_output_file, check_parent
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.options import DIR, FILE, source_options, trust_option, weights_option
from hubtune.cli.split_output import quote_path
from hubtune.errors import DataError, MachineError, UsageError, writing
from hubtune.log import show_on_stderr
from hubtune.messages.translation import translate
from hubtune.storage.atomic import write_atomically
from hubtune.storage.new_folder import is_occupied
from hubtune.text import wrapped

if TYPE_CHECKING:
    from hubtune.data.audit.issues import Issue
    from hubtune.data.audit.scan_report import ScanReport
    from hubtune.data.listing import Listing
    from hubtune.data.sources.settings import SourceSettings

_MOST_CLASSES = 40  # that the table shows
_MOST_NAMES = 3  # of files, or groups of files, that an issue shows
_WIDEST = 110  # characters of a line


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--page", type=FILE, help="Write an HTML page with thumbnails; an earlier one is replaced.")
@click.option(
    "--quarantine",
    type=DIR,
    help="Copy the unreadable and suspect files to a new or empty folder, with a folder for each kind.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Also look for wrong labels, by the features of this module (`hubtune hub list` shows all).",
)
@weights_option
@trust_option
@source_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON, with the facts of each file."
)
def command(
    source: str,
    page: Path | None,
    quarantine: Path | None,
    settings: "SourceSettings",
    as_json: bool,
    **module_options: Any,
) -> None:
    """Inspect every picture of SOURCE, and name the issues, most severe first.

    SOURCE is what `hubtune split` takes: a folder with a folder of pictures for each class, and others. Each
    file is read to its last byte; the next scan reads only new or changed files. Nothing is written into the
    folder of pictures, moved or removed.

    \b
    hubtune scan pics/
    hubtune scan pics/ --page scan.html
    hubtune scan pics/ --module mobilenet_v2_imagenet --quarantine suspect/
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.audit.scan_report import make_scan_report
    from hubtune.data.sources.open import open_source

    show_on_stderr()
    check_output_file(page, "--page")
    source = bring_dataset(source)
    network = load_module(**module_options)
    with working_bar("opening") as progress:
        listing = open_source(source, settings=settings, progress=progress)
        _check_targets(source, listing, page, quarantine)
        check_labels = label_checker_by(network, progress)
        report = make_scan_report(source, listing, check_labels=check_labels, progress=progress)
    if page is not None:
        from hubtune.report.scan_page import render_scan_page

        with writing(page):
            write_atomically(page, render_scan_page(report.source, report.scan, report.issues))
    copied = 0 if quarantine is None else _copy(report.issues, quarantine)
    if as_json:
        _print_as_json(report)
    else:
        _print_counts(report)
        _print_issues(report.issues)
        for remark in report.remarks:
            say(f"• {shown(remark)}")
    if quarantine is not None:
        say(f"{copied:,} files copied to {quote_path(quarantine)}")
    if page is not None:
        say(f"To look at: {quote_path(page)}")
    elif report.issues and not as_json:
        say(f"To look at them: hubtune scan {quote_path(source)} --page scan.html")
    if not report.images:
        say(f"{shown(source)} has no picture that can be read")
        click.get_current_context().exit(DataError.exit_code)


def _check_targets(source: str, listing: "Listing", page: Path | None, quarantine: Path | None) -> None:
    data = {folder.resolve() for folder in {file.path.parent for file in listing.files}}
    if "://" not in source and Path(source).is_dir():
        data.add(Path(source).resolve())
    for place, option in ((page, "--page"), (quarantine, "--quarantine")):
        if place is not None and data & {place.resolve(), *place.resolve().parents}:
            raise UsageError(f"{option} {place} lies in the data itself: name another place")
    if quarantine is None:
        return
    if is_occupied(quarantine):
        raise UsageError(f"--quarantine {quarantine} is in use already: name a new folder, or an empty one")
    check_parent(quarantine)


def _copy(issues: "Iterable[Issue]", folder: Path) -> int:
    copied = 0
    try:
        for kind, item in [(issue.kind, item) for issue in issues if issue.suspect for item in issue.files]:
            if not item.path.is_file():  # a broken link, a folder, a pipe
                continue
            # A table may name files anywhere.
            parts = [part for part in PurePosixPath(item.name).parts if part not in ("/", "..")]
            target = folder.joinpath(kind, *parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(item.path, target)
                copied += 1
            except PermissionError as error:
                if error.filename != str(item.path):
                    raise
                say(f"{shown(item.name)} cannot be copied: {error.strerror}")
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written: {error.strerror or error}; {copied:,} files were copied before"
        ) from error
    return copied


def _print_as_json(report: "ScanReport") -> None:
    document = {"schema_version": SCHEMA_VERSION, **report.summary()}
    # File by file, as there may be a million of them.
    click.echo(json.dumps(document)[:-1] + ', "files": [', nl=False)
    separator = ""
    for file in report.files():
        click.echo(separator + json.dumps(file), nl=False)
        separator = ",\n"
    click.echo("]}")


def _print_counts(report: "ScanReport") -> None:
    lines = [(label, f"{count:,}") for label, count in report.scan.sizes.items()]
    sets = report.scan.label_sets
    if more := lines[_MOST_CLASSES:]:
        noun = ("class" if len(more) == 1 else "classes") if sets is None else "labels"
        lines[_MOST_CLASSES:] = [(f"and {len(more):,} more {noun}", "")]
    # A picture may have several labels: their numbers have no sum.
    last = ("total" if sets is None else "all pictures", f"{len(report.images):,}")
    print_table([("class" if sets is None else "label", "pictures"), *lines, last], total=True)
    infos = [image.info for image in report.images if image.info is not None]
    if not infos:
        return
    sizes = Counter((info.width, info.height) for info in infos)
    [((width, height), _)] = sizes.most_common(1)
    facts = [_counts(info.format for info in infos), _counts(info.mode for info in infos)]
    if len(sizes) == 1:
        facts.append(f"{width:,} × {height:,} pixels")
    else:
        smallest, *_, largest = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        sides = f"from {smallest[0]:,} × {smallest[1]:,} to {largest[0]:,} × {largest[1]:,}"
        facts += [f"most of {width:,} × {height:,} pixels", sides]
    if rotated := sum(info.orientation != 1 for info in infos):
        facts.append(f"{rotated:,} turned upright as their EXIF data say")
    echo("\n" + "; ".join(map(translate, facts)))


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {number:,}" for word, number in Counter(words).most_common())


def _print_issues(issues: "Sequence[Issue]") -> None:
    if not issues:
        echo("\nNo issues found.")
        return
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    echo("\nIssues, most severe first:")
    for issue in issues:
        echo(f"\n{shown(issue.title)}")
        for group in issue.groups[:_MOST_NAMES]:
            names = " = ".join(shown(item.name) for item in group[:_MOST_NAMES])
            more = f" = … ({len(group):,})" if len(group) > _MOST_NAMES else ""
            note = f": {shown(group[0].note)}" if group[0].note else ""
            echo(f"    {names}{more}{note}")
        if len(issue.groups) > _MOST_NAMES:
            echo(f"    and {len(issue.groups) - _MOST_NAMES:,} more")
        first, *rest = wrapped(translate(issue.advice), width - 4)
        click.echo("\n".join([f"  → {first}", *(f"    {line}" for line in rest)]))
