"""Splits on a terminal: tables of counts, files that were left out, remarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.cli.console import print_table, say, shown
from hubtune.text import first_few, plural

if TYPE_CHECKING:
    from hubtune.data.splits.files import Split


def quote_path(path: Path | str) -> str:
    """Return a path as it can be typed into a shell."""
    text = shown(path)
    return text if all(c.isalnum() or c in "-_./\\:" for c in text) else f'"{text}"'


def print_counts(split: "Split") -> None:
    """Print a table with a row for each class or label, and a column for each list."""
    totals = split.image_counts()
    columns = [name for name in totals if name == "train" or totals[name]]
    _print_rows(
        "class" if split.label_sets is None else "label",
        [column.replace("_", " ") for column in columns],
        [(split, column) for column in columns],
    )


def print_fold_counts(folds: "Sequence[Split]") -> None:
    """Print a table with a row for each class or label, and a column for what each fold holds out."""
    columns = [(f"fold {number}", fold, "validate") for number, fold in enumerate(folds, 1)]
    if folds[0].lists["test"]:
        columns.append(("test", folds[0], "test"))
    _print_rows("held out", [name for name, _, _ in columns], [(split, part) for _, split, part in columns])


def _print_rows(title: str, names: list[str], columns: "list[tuple[Split, str]]") -> None:
    """Print a column for each list of a split; the total is of images, which may have several labels."""
    from hubtune.data.label_sets import NO_LABEL

    counts = [split.counts() for split, _ in columns]
    split = columns[0][0]
    shown_as = dict(zip(split.folders, split.labels, strict=True)) if split.label_sets is None else {}
    rows: list[tuple[str, list[int]]] = []
    for row in counts[0]:
        name = shown_as.get(row, row)
        numbers = [own[row][part] for own, (_, part) in zip(counts, columns, strict=True)]
        rows.append((row if row == name else f"{row} ({name})", numbers))
    without = [split.counts_without_label()[part] for split, part in columns]
    if any(without):
        rows.append((NO_LABEL, without))
    rows.append(("total", [split.image_counts()[part] for split, part in columns]))
    print_table(
        [[title, *names], *([name, *(f"{count:,}" for count in row)] for name, row in rows)], total=True
    )


def print_remarks(split: "Split", record: str) -> None:
    """Print the files that are in no list, a line for each reason, and then the remarks.

    ``record`` says where all of these files are named, or what happens to them.
    """
    if split.left_out:
        say(f"\nLeft out: {plural(len(split.left_out), 'file')}; {record}.")
    reasons: dict[str, list[str]] = {}
    for entry in split.left_out:
        reasons.setdefault(entry.reason, []).append(shown(_source_path(entry.path)))
    for reason, paths in reasons.items():
        say(f"• {shown(reason)}: {first_few(paths)}")
    if split.remarks:
        say("")
    for remark in split.remarks:
        say(f"• {shown(remark)}")


def _source_path(path: Path) -> str:
    """Return a path as in the source: of an archive or an address, without the folder in the cache."""
    from hubtune.storage.cache_folder import data_folder

    inside = path.relative_to(data_folder()).parts if path.is_relative_to(data_folder()) else ()
    return "/".join(inside[3:]) or str(path)  # kind/source/files/…


def say_repair(folder: Path) -> None:
    """Name the command that writes lists without leaks."""
    say(f"For lists without leaks: hubtune split --from {quote_path(folder)} --out DIR")
