"""What ``hubtune export`` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hubtune.cli.console import echo, percent, print_table, say, shown
from hubtune.export.formats import FORMATS
from hubtune.extras import install_command
from hubtune.storage.cache_folder import size_on_disk
from hubtune.text import format_bytes, plural, shell_quoted

if TYPE_CHECKING:
    from hubtune import Export
    from hubtune.export.benchmark import BenchRow
    from hubtune.export.int8 import Int8Report
    from hubtune.export.parity import Difference, Parity


def export_as_dict(export: "Export") -> dict[str, Any]:
    """Return what ``--json`` prints."""
    files = {path.name: path.stat().st_size for path in sorted(export.folder.iterdir())}
    return {
        "folder": str(export.folder),
        "format": export.format,
        "files": files,
        "parity": None if export.parity is None else export.parity.as_dict(),
        "accuracies": {
            name: {"model": before, "export": after} for name, (before, after) in export.accuracies.items()
        },
        "int8": None if export.int8 is None else export.int8.as_dict(),
        "bench": [row.as_dict() for row in export.bench],
    }


def print_export(export: "Export") -> None:
    """Print where an export is, how it compares with hubtune, and what was measured."""
    form = FORMATS[export.format]
    size = format_bytes(size_on_disk(export.folder))
    echo(f"{form.title} written to {shown(export.folder)} ({size})")
    if export.parity is None:
        install = install_command(form.runner or form.title)
        say(f"Not compared with hubtune: {form.title} is not installed ({install})")
    else:
        own = f"{plural(export.images, 'picture')} of the run" if export.images else "no picture of a run"
        echo(f"Compared with hubtune on {own} and drawn ones: {describe_parity(export.parity)}")
    for name, (before, after) in export.accuracies.items():
        what = {"validate": "validation", "test": "test"}[name]
        echo(
            f"The format looks at a picture in one way, for which the head was solved again: on the {what} "
            f"list {percent(after)} instead of {percent(before)}"
        )
    if export.int8 is not None:
        _print_int8(export.int8)
    if export.bench:
        _print_bench(export.bench)
    say(f"Use it: python {shell_quoted(shown(export.folder / 'predict.py'))} PHOTO; README.md there has more")


def _print_int8(report: "Int8Report") -> None:
    found, speed = report.accuracy, report.speed
    head = ", and the head was solved again on its features" if found.head_solved else ""
    steps = f"its steps were chosen on {plural(found.calibration_images, 'training picture')}{head}"
    echo(f"int8: {steps}")
    echo(
        f"On the {plural(found.count, 'validation picture')} {percent(found.int8)} "
        f"({_interval(found.int8_interval)}), in float32 {percent(found.float32)} "
        f"({_interval(found.float32_interval)}); the same label for {percent(found.agreement)}"
    )
    times = f"{speed.int8:.1f} ms a picture instead of {speed.float32:.1f}"
    sizes = f"{format_bytes(speed.int8_bytes)} instead of {format_bytes(speed.float32_bytes)}"
    echo(f"{speed.ratio:.2f} times as fast as float32 on this machine ({times}), {sizes}")


def _interval(interval: tuple[float, float]) -> str:
    return f"95 % interval {100 * interval[0]:.1f}–{100 * interval[1]:.1f} %"


def _print_bench(rows: Sequence["BenchRow"]) -> None:
    list_name = {"validate": "validation", "test": "test", None: ""}[rows[0].list]
    accuracy = f"accuracy on the {list_name} list" if list_name else "accuracy"
    cells = [
        [
            row.program,
            row.precision,
            "unknown" if row.accuracy is None else percent(row.accuracy.accuracy),
            f"{row.milliseconds:.1f}",
            f"{row.bytes / 1e6:.1f}",
        ]
        for row in rows
    ]
    print_table([["program", "numbers", accuracy, "ms a picture", "MB"], *cells], sides="<<")


def describe_parity(parity: "Parity") -> str:
    """Describe how an export's answers differ, as the end of a sentence."""
    parts = [_differences(parity.files)]
    if parity.resized is not None:
        parts.append(f"where the program resizes pictures by itself, {_differences(parity.resized)}")
    if parity.unread:
        parts.append(f"{plural(len(parity.unread), 'picture')} that its script does not read")
    return "; ".join(parts)


def _differences(difference: "Difference") -> str:
    labels = (
        "the same label for all"
        if not difference.labels
        else f"another label for {difference.labels:,} of {difference.images:,}"
    )
    return f"{labels}, scores differ by at most {difference.scores:.1g}"
