"""``hubtune split``."""

from pathlib import Path
from typing import Any

import click

from hubtune.cli.output import print_json, say, shown
from hubtune.errors import UsageError


@click.command()
@click.argument("pictures", type=click.Path(path_type=Path))
@click.option(
    "--val",
    default="20%",
    show_default=True,
    metavar="N",
    help="Validation pictures per class: 20, or 0.2, or 20%.",
)
@click.option(
    "--test", default="0", show_default=True, metavar="N", help="Test pictures per class, likewise."
)
@click.option(
    "--train",
    type=click.IntRange(min=1),
    metavar="N",
    help="Training pictures per class; default: all the rest.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another seed gives another split.",
)
@click.option(
    "--labels", type=click.Path(path_type=Path), metavar="FILE", help="Display names: `folder name` a line."
)
@click.option(
    "--test-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Test pictures from a folder of their own: DIR/<class>.jpg, DIR/<class>_2.jpg or DIR/<class>/*.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the lists go; default: beside PICTURES.",
)
@click.option("--force", is_flag=True, help="Replace lists with other content.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    pictures: Path,
    val: str,
    test: str,
    train: int | None,
    seed: int,
    labels: Path | None,
    test_dir: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Divide PICTURES, a folder with a folder of pictures for each class, into lists.

    Every picture is read once; what cannot be read is listed and left out. The same pictures and seed give
    the same lists on every machine.

    \b
    hubtune split pics/ --val 20
    hubtune split pics/ --val 10 --test 20 --seed 1
    hubtune split pics/ --val 20% --test-dir dataset/test --labels names.txt
    """
    from hubtune.data.scan import scan_classes, scan_files
    from hubtune.data.split import Amount, make_split, read_display_names, write_split

    validate, tested = Amount.parse(val), Amount.parse(test)
    if test_dir is not None and tested:
        raise UsageError("--test and --test-dir both say where test pictures come from: give one of them")
    with _progress() as advance:
        scan = scan_classes(pictures, skip=test_dir, advance=advance)
    split = make_split(
        scan,
        validate=validate,
        test=tested,
        train=train,
        seed=seed,
        labels=read_display_names(labels, list(scan.classes)) if labels else None,
        test_scan=scan_files(test_dir) if test_dir else None,
    )
    folder = out if out is not None else pictures.resolve().parent if _is_here(pictures) else pictures.parent
    options = {
        "pictures": str(pictures),
        "validate": val,
        "test": test,
        "train": train,
        "seed": seed,
        "labels": str(labels) if labels else None,
        "test_dir": str(test_dir) if test_dir else None,
    }
    files = write_split(split, folder, options, force=force)
    if as_json:
        print_json(
            {
                "files": [str(file) for file in files],
                "classes": dict(zip(split.folders, split.labels, strict=True)),
                "counts": split.counts(),
                "left_out": [{"path": str(e.path), "reason": e.reason} for e in split.left_out],
                "strays": [str(path) for path in scan.strays],
                "remarks": split.remarks,
            }
        )
        return
    _print_table(split)
    _print_remarks(scan, split)
    say(f"\nWritten to {shown(str(folder))}: {', '.join(file.name for file in files)}")
    say(f"Next: hubtune finetune {shown(str(pictures))}")


def _is_here(pictures: Path) -> bool:
    """Whether the folder is given as ``.`` or ``..``, whose parent only the resolved path tells."""
    return pictures.name in ("", "..")


def _progress() -> Any:
    """A bar for the scan, on a terminal, once it is clear that it takes time."""
    from contextlib import nullcontext

    from hubtune.cli.output import on_terminal

    if not on_terminal():
        return nullcontext(None)
    from hubtune.cli.progress import counting_bar

    return counting_bar("reading pictures")


def _print_table(split: Any) -> None:
    counts = split.counts()
    columns = ["train", "validate", "test"]
    if split.left_over:
        columns.append("left_over")
    named = split.labels != split.folders
    names = [
        shown(f"{folder} ({label})" if named and folder != label else folder)
        for folder, label in zip(split.folders, split.labels, strict=True)
    ]
    rows = [
        [name, *(f"{counts[f][c]:,}" for c in columns)] for name, f in zip(names, split.folders, strict=True)
    ]
    totals = ["total", *(f"{sum(row[c] for row in counts.values()):,}" for c in columns)]
    heads = ["class", *(column.replace("_", " ") for column in columns)]
    from rich.cells import cell_len

    widths = [max(cell_len(row[i]) for row in [heads, *rows, totals]) for i in range(len(heads))]
    lines = [heads, *rows, totals]
    for number, line in enumerate(lines):
        if number in (1, len(lines) - 1):
            click.echo("  ".join("─" * width for width in widths))
        first = line[0] + " " * (widths[0] - cell_len(line[0]))
        click.echo(
            "  ".join([first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        )


def _print_remarks(scan: Any, split: Any) -> None:
    unreadable = scan.left_out
    if unreadable:
        say(f"\n{len(unreadable)} left out, as they cannot be used (all are in split.json):")
        for entry in unreadable[:20]:
            say(f"  {shown(str(entry.path))}: {entry.reason}")
        if len(unreadable) > 20:
            say(f"  … and {len(unreadable) - 20:,} more")
    lines = list(split.remarks)
    if scan.strays:
        lines.append(f"{len(scan.strays)} other files are no pictures: {_some(scan.strays)}.")
    if scan.renamed:
        lines.append(
            f"{len(scan.renamed)} are of another format than their names say, and used: {_some(scan.renamed)}."
        )
    if scan.animated:
        lines.append(f"{len(scan.animated)} have several frames; the first is used: {_some(scan.animated)}.")
    if lines:
        say("")
    for line in lines:
        say(shown(line))


def _some(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:3]) + (", …" if len(paths) > 3 else "")
