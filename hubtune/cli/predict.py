"""``hubtune predict``."""

import csv
import glob
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.output import on_terminal, percent, print_json, say, shown
from hubtune.errors import DataError, MachineError, UsageError

if TYPE_CHECKING:
    from hubtune.model import Prediction


@click.command()
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURES...")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A run or model folder; default: the newest run.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=1, show_default=True, help="How many classes to name."
)
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a row a picture."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
@click.option("--scores", is_flag=True, help="All classes' scores, in CSV and JSON.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write labelled pictures and a contact sheet.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures at once; scores do not depend on it.",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, gpu or gpu:0.")
def command(
    pictures: tuple[str, ...],
    model: Path | None,
    top: int,
    csv_file: Path | None,
    as_json: bool,
    scores: bool,
    save: Path | None,
    batch_size: int,
    device: str,
) -> None:
    """Name the class of PICTURES: files, folders, patterns, or a list file (.txt).

    One row a picture, in the order given; a picture that cannot be read has a row with the reason.

    \b
    hubtune predict dataset/test/*.jpg
    hubtune predict holiday/ --top 5 --csv answers.csv
    hubtune predict a.jpg --model runs/idol5 --save labelled/
    """
    for target in (csv_file.parent if csv_file else None, save.parent if save else None):
        if target is not None and not target.is_dir():
            raise UsageError(f"There is no folder {target} to write into: make it first")
    if csv_file is not None and csv_file.is_dir():
        raise UsageError(f"--csv {csv_file} is a folder: name a file")
    if save is not None and save.exists() and not save.is_dir():
        raise UsageError(f"--save {save} is a file: name a folder")
    paths = list(_expand(pictures))
    if save is not None and any(Path(path).resolve().parent == save.resolve() for path in paths):
        raise UsageError(f"--save {save} holds pictures that are to be predicted: name another folder")
    if model is None:
        from hubtune.train.run_folder import newest_run

        model = newest_run()
        say(f"Model: {shown(str(model))} (the newest run)")

    # Paddle comes with these, and takes seconds: all that can be refused without it has been.
    from hubtune.model import load_model
    from hubtune.train.device import select_device

    select_device(device)
    loaded = load_model(model)
    top = min(top, len(loaded.labels))
    rows = []
    from rich.cells import cell_len

    width = min(60, max((cell_len(shown(path)) for path in paths), default=0))
    with _bar(len(paths), hidden=not (csv_file or as_json or save)) as advance:
        for row in loaded.predict(paths, batch_size=batch_size):
            rows.append(row)
            if not (csv_file or as_json):
                gap = " " * max(0, width - cell_len(shown(row.path)))
                click.echo(f"{shown(row.path)}{gap}  {_said(row, top)}")
            advance(len(rows), len(paths))
    if csv_file:
        _write_csv(csv_file, rows, top, loaded.labels if scores else [])
    if save:
        _save_pictures(save, rows, loaded.labels)
    if as_json:
        print_json({"model": str(model), "rows": [_as_dict(row, top, scores) for row in rows]})
    unreadable = sum(row.error is not None for row in rows)
    if csv_file:
        say(f"{len(rows):,} rows written to {shown(str(csv_file))}")
    if unreadable:
        say(f"{unreadable} of {len(rows):,} pictures could not be read; their rows say why")
    if unreadable == len(rows):
        click.get_current_context().exit(DataError.exit_code)


def _expand(given: Sequence[str]) -> Iterator[str]:
    """Pictures from files, folders, patterns and lists, in the order given.

    What is not there stays as it is, so that it becomes a row with the reason.
    """
    from hubtune.data.lists import read_paths
    from hubtune.data.scan import picture_files

    for text in given:
        path = Path(text)
        if path.is_dir():
            found = picture_files(path)
            if not found:
                raise DataError(f"There is no picture in {path}: name a folder that has some")
            yield from map(str, found)
        elif path.is_file() and path.suffix.lower() == ".txt":
            listed = read_paths(path, path.parent)
            if not listed:
                raise DataError(f"{path} names no picture")
            yield from map(str, listed)
        elif not path.exists() and any(mark in text for mark in "*?["):
            yield from sorted(glob.glob(text, recursive=True)) or [text]  # noqa: PTH207  # absolute ones, too
        else:
            yield text


def _bar(total: int, *, hidden: bool) -> Any:
    from contextlib import nullcontext

    if hidden or not on_terminal() or total < 2:
        return nullcontext(lambda done, total: None)
    from hubtune.cli.progress import counting_bar

    return counting_bar("predicting")


def _said(row: "Prediction", top: int) -> str:
    if row.error is not None:
        return f"— {row.error}"
    return " · ".join(f"{shown(label)} {percent(score)}" for label, score in _top(row, top))


def _top(row: "Prediction", top: int) -> list[tuple[str, float]]:
    return list(row.scores.items())[:top]


def _as_dict(row: "Prediction", top: int, scores: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"path": row.path, "label": row.label, "score": row.score}
    if top > 1:
        document["top"] = [{"label": label, "score": score} for label, score in _top(row, top)]
    if scores:
        document["scores"] = row.scores
    return {**document, "error": row.error}


def _write_csv(file: Path, rows: "list[Prediction]", top: int, labels: Sequence[str]) -> None:
    from hubtune.files import write_atomically

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    places = [f"{what}{place}" for place in range(2, top + 1) for what in ("label", "score")]
    writer.writerow(["path", "label", "score", *places, "error", *map(_cell, labels)])
    for row in rows:
        further = [value for label, score in _top(row, top)[1:] for value in (_cell(label), score)]
        further += [""] * (len(places) - len(further))
        score = "" if row.score is None else row.score
        every = [row.scores.get(label, "") for label in labels]
        writer.writerow([_cell(row.path), _cell(row.label or ""), score, *further, row.error or "", *every])
    try:
        write_atomically(file, text.getvalue().encode("utf-8", errors="surrogateescape"))
    except OSError as error:
        raise MachineError(f"{file} cannot be written: {error.strerror}") from error


def _cell(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _save_pictures(folder: Path, rows: "list[Prediction]", labels: Sequence[str]) -> None:
    from hubtune.report.saved import save_predictions

    saved = save_predictions(folder, rows, labels)
    say(f"Labelled pictures and {saved.sheet.name} written to {shown(str(folder))}")
    if not saved.complete:
        say(
            "No font on this machine can draw all class names; the pictures have the classes' numbers. "
            "Install one, such as Noto Sans CJK, and run this again"
        )
