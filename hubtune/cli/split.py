"""``hubtune split``."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.output import on_terminal, print_json, say, shown
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.data.split import Split


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
    from hubtune.data.names import read_display_names
    from hubtune.data.scan import scan_classes, scan_files
    from hubtune.data.split import Amount, make_split, write_split

    validate, tested = Amount.parse(val), Amount.parse(test)
    if test_dir is not None:
        if tested:
            raise UsageError("--test and --test-dir both say where test pictures come from: give one of them")
        if pictures.resolve().is_relative_to(test_dir.resolve()):
            raise UsageError(
                f"--test-dir {test_dir} holds {pictures} itself: give a folder of test pictures only"
            )
    test_scan = scan_files(test_dir) if test_dir is not None else None
    with _progress() as advance:
        scan = scan_classes(pictures, skip=test_dir, advance=advance)
    split = make_split(
        scan,
        validate=validate,
        test=tested,
        train=train,
        seed=seed,
        labels=read_display_names(labels, list(scan.classes)) if labels else None,
        test_scan=test_scan,
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
    _print_left_out(split)
    if split.remarks:
        say("")
    for remark in split.remarks:
        say(f"• {shown(remark)}")
    say(f"\nWritten to {_quoted(folder)}: {', '.join(file.name for file in files)}")
    # With lists of the default place, the pictures alone lead to them.
    say(f"Next: hubtune finetune {_quoted(pictures if out is None else folder)}")


def _is_here(pictures: Path) -> bool:
    """Whether the folder is given as ``.`` or ``..``, whose parent only the resolved path tells."""
    return pictures.name in ("", "..")


def _quoted(path: Path) -> str:
    """A path as it can be typed into a shell."""
    text = shown(str(path))
    return text if all(c.isalnum() or c in "-_./\\:" for c in text) else f'"{text}"'


def _progress() -> AbstractContextManager[Callable[[int, int], None] | None]:
    """A bar for the scan, on a terminal."""
    if not on_terminal():
        return nullcontext(None)
    from hubtune.cli.progress import counting_bar

    return counting_bar("reading pictures")


def _print_table(split: "Split") -> None:
    from rich.cells import cell_len

    counts = split.counts()
    totals = Counter[str]()
    for row in counts.values():
        totals.update(row)
    columns = [name for name in ("train", "validate", "test", "left_over") if name == "train" or totals[name]]
    names = [
        shown(folder if folder == label else f"{folder} ({label})")
        for folder, label in zip(split.folders, split.labels, strict=True)
    ]
    lines = [
        ["class", *(column.replace("_", " ") for column in columns)],
        *(
            [name, *(f"{row[c]:,}" for c in columns)]
            for name, row in zip(names, counts.values(), strict=True)
        ),
        ["total", *(f"{totals[c]:,}" for c in columns)],
    ]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("─" * width for width in widths)
    for number, (name, *cells) in enumerate(lines):
        if number in (1, len(lines) - 1):
            click.echo(rule)
        name += " " * (widths[0] - cell_len(name))
        click.echo("  ".join([name, *map(str.rjust, cells, widths[1:])]))


def _print_left_out(split: "Split") -> None:
    """Name what is in no list, by reason: a camera's whole card of one kind is one line."""
    from hubtune.data.scan import counted, some

    if not split.left_out:
        return
    say(f"\nLeft out: {counted(len(split.left_out), 'file')}; split.json has them all.")
    reasons: dict[str, list[str]] = {}
    for entry in split.left_out:
        reasons.setdefault(entry.reason, []).append(shown(str(entry.path)))
    for reason, paths in reasons.items():
        say(f"• {reason}: {some(paths)}")
