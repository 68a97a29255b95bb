"""What `predict` and `classify` have in common: from pictures on the command line to rows of answers."""

import csv
import glob
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import percent, print_json, say, shown
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.recipe.choices import ENGINES

if TYPE_CHECKING:
    from hubtune.data.listing import Listing
    from hubtune.inference.model import Model, Prediction


@dataclass(frozen=True)
class Answers:
    """Where the answers go.

    Attributes:
        top: how many classes to name.
        csv_file: a file with a row a picture.
        as_json: whether one JSON document goes to stdout.
        scores: whether CSV and JSON have all classes' scores.
        save: a folder for labelled pictures and a contact sheet.
    """

    top: int
    csv_file: Path | None
    as_json: bool
    scores: bool
    save: Path | None

    def check(self, paths: Sequence[str]) -> None:
        """Refuse places that cannot be written to, before any work is done.

        Raises:
            UsageError: there is one.
        """
        check_target(self.csv_file, "--csv")
        if self.save is None:
            return
        if not self.save.parent.is_dir():
            raise UsageError(f"There is no folder {self.save.parent} to write into: make it first")
        if self.save.exists() and not self.save.is_dir():
            raise UsageError(f"--save {self.save} is a file: name a folder")
        if any(Path(path).resolve().parent == self.save.resolve() for path in paths):
            raise UsageError(
                f"--save {self.save} holds pictures that are to be predicted: name another folder"
            )

    def give(self, model: "Model", name: str, paths: Sequence[str], *, batch_size: int) -> None:
        """Name the classes of pictures, one row a picture, in order.

        Exits with the code of a data error where no picture can be read.
        """
        top = min(self.top, len(model.labels))
        rows = []
        from rich.cells import cell_len

        from hubtune.cli.progress import counting_bar

        width = min(60, max((cell_len(shown(path)) for path in paths), default=0))
        quiet = self.csv_file or self.as_json or self.save
        with counting_bar("predicting") if quiet else nullcontext() as advance:
            for row in model.predict(paths, batch_size=batch_size):
                rows.append(row)
                if not (self.csv_file or self.as_json):
                    gap = " " * max(0, width - cell_len(shown(row.path)))
                    click.echo(f"{shown(row.path)}{gap}  {_said(row, top)}")
                if advance is not None:
                    advance(len(rows), len(paths))
        if self.csv_file:
            _write_csv(self.csv_file, rows, top, model.labels if self.scores else [])
        if self.save:
            _save_images(self.save, rows, model.labels)
        if self.as_json:
            print_json({"model": name, "rows": [_as_dict(row, top, self.scores) for row in rows]})
        if self.csv_file:
            say(f"{len(rows):,} rows written to {shown(str(self.csv_file))}")
        tell_unreadable(sum(row.error is not None for row in rows), len(rows))


def check_target(file: Path | None, option: str) -> None:
    """Refuse a file that cannot be written because of where it is.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
        MachineError: its folder cannot be written.
    """
    if file is None:
        return
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent} to write into: make it first")
    if not os.access(file.parent, os.W_OK):
        raise MachineError(f"{file.parent} cannot be written: name another folder for {option}")
    if file.is_dir():
        raise UsageError(f"{option} {file} is a folder: name a file")


def tell_unreadable(unreadable: int, count: int) -> None:
    """Say how many pictures could not be read; where that is all of them, exit as for a data error."""
    if unreadable:
        say(f"{unreadable} of {count:,} pictures could not be read; their rows say why")
    if unreadable == count:
        click.get_current_context().exit(DataError.exit_code)


def named_weights(weights: str) -> str | None:
    """Return what ``--weights`` asks for as :class:`~hubtune.hub.module.Module` takes it."""
    return None if weights == "none" else weights


def answer_options(top: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of :class:`Answers`, which it gets as ``answers``, and of the machine.

    Args:
        top: the default of ``--top``.
    """
    options = [
        click.option(
            "--top",
            type=click.IntRange(min=1),
            default=top,
            show_default=True,
            help="How many classes to name.",
        ),
        click.option(
            "--csv",
            "csv_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write a row a picture.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON."),
        click.option("--scores", is_flag=True, help="All classes' scores, in CSV and JSON."),
        click.option(
            "--save",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Write labelled pictures and a contact sheet.",
        ),
        batch_size_option,
        device_option,
        engine_option,
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(
            *, top: int, csv_file: Path | None, as_json: bool, scores: bool, save: Path | None, **more: Any
        ) -> Any:
            return command(answers=Answers(top, csv_file, as_json, scores, save), **more)

        for option in reversed(options):
            call = option(call)
        return call

    return decorate


batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures at once; results do not depend on it.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, gpu or gpu:0."
)
engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="What runs the network; auto: OpenVINO on a CPU, Paddle with mixed precision on a GPU.",
)
overrides_option = click.option(
    "-o",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe: -o train.epochs=3. May be repeated.",
)
trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the code (module.py) of a user's own architecture."
)
module_option = click.option(
    "--module",
    required=True,
    metavar="NAME",
    help="A hub name (`hubtune hub list` shows all), a module folder or a weights file.",
)
weights_option = click.option(
    "--weights",
    default="official",
    show_default=True,
    metavar="FILE",
    help="A .safetensors or .pdparams file for the module, or none for random values.",
)


def expand(given: Sequence[str]) -> Iterator[str]:
    """Yield pictures from files, folders, patterns and lists, in the order given.

    What is not there stays as it is, so that it becomes a row with the reason.
    """
    from hubtune.data.list_files import read_paths
    from hubtune.data.sources.folder import walk_images

    for text in given:
        if not text:
            raise UsageError("One of the names of pictures is empty: leave it out")
        path = Path(text)
        if path.is_dir():
            listing = walk_images(path)
            _tell_passed_over(listing)
            if not listing.files:
                raise DataError(f"There is no picture in {path}: name a folder that has some")
            yield from (str(file.path) for file in listing.files)
        elif path.is_file() and path.suffix.lower() == ".txt":
            listed = read_paths(path, path.parent)
            if not listed:
                raise DataError(f"{path} names no picture")
            yield from map(str, listed)
        elif not path.exists() and any(mark in text for mark in "*?["):
            yield from sorted(glob.glob(text, recursive=True)) or [text]  # noqa: PTH207  # absolute ones, too
        else:
            yield text


def _tell_passed_over(listing: "Listing") -> None:
    """Name the files of a folder that get no row, on a line for each reason."""
    from hubtune.data.listing import known_as
    from hubtune.text import first_few, plural

    strays, reasons = listing.non_images, dict[str, list[Path]]()
    if strays:
        kind = "that is no picture" if len(strays) == 1 else "that are no pictures"
        reasons[f"{plural(len(strays), 'file')} {kind}"] = strays
    for entry in listing.left_out:
        reasons.setdefault(entry.reason, []).append(entry.path)
    for reason, paths in reasons.items():
        names = first_few([known_as(path, listing.root) for path in paths])
        say(f"Passed over in {shown(str(listing.root))}: {shown(reason)}: {shown(names)}")


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
    from hubtune.storage.atomic import write_atomically

    text = io.StringIO()
    writer = csv.writer(text)  # its own line ends, CR LF: with others, a CR in a name would not be quoted
    places = [f"{what}{place}" for place in range(2, top + 1) for what in ("label", "score")]
    writer.writerow(["path", "label", "score", *places, "error", *map(cell, labels)])
    for row in rows:
        further = [value for label, score in _top(row, top)[1:] for value in (cell(label), score)]
        further += [""] * (len(places) - len(further))
        score = "" if row.score is None else row.score
        every = [row.scores.get(label, "") for label in labels]
        path, label, error = (cell(text or "") for text in (row.path, row.label, row.error))
        writer.writerow([path, label, score, *further, error, *every])
    try:
        write_atomically(file, text.getvalue().encode("utf-8", errors="surrogateescape"))
    except OSError as error:
        raise MachineError(f"{file} cannot be written: {error.strerror}") from error


def cell(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _save_images(folder: Path, rows: "list[Prediction]", labels: Sequence[str]) -> None:
    from hubtune.report.labelled_images import save_labelled_images

    saved = save_labelled_images(folder, rows, labels)
    say(f"Labelled pictures and {saved.path.name} written to {shown(str(folder))}")
    if not saved.complete:
        say(
            "No font on this machine can draw all class names; the pictures have the classes' numbers. "
            "Install one, such as Noto Sans CJK, and run this again"
        )
