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
    """Print a table with a row for each class, and a column for each list."""
    counts = split.counts().values()
    columns = [
        name for name in (*split.lists, "left_over") if name == "train" or any(row[name] for row in counts)
    ]
    rows = [[row[column] for column in columns] for row in counts]
    _print_rows("class", [column.replace("_", " ") for column in columns], split, rows)


def print_fold_counts(folds: "Sequence[Split]") -> None:
    """Print a table with a row for each class, and a column for the images that each fold holds out."""
    columns = [(f"fold {number}", fold.counts(), "validate") for number, fold in enumerate(folds, 1)]
    if folds[0].lists["test"]:
        columns.append(("test", folds[0].counts(), "test"))
    rows = [[counts[folder][part] for _, counts, part in columns] for folder in folds[0].folders]
    _print_rows("held out", [name for name, _, _ in columns], folds[0], rows)


def _print_rows(title: str, columns: list[str], split: "Split", rows: list[list[int]]) -> None:
    names = [
        folder if folder == label else f"{folder} ({label})"
        for folder, label in zip(split.folders, split.labels, strict=True)
    ]
    totals = [sum(column) for column in zip(*rows, strict=True)]
    lines = [
        [name, *(f"{count:,}" for count in row)]
        for name, row in zip([*names, "total"], [*rows, totals], strict=True)
    ]
    print_table([[title, *columns], *lines], total=True)


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
