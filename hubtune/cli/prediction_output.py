"""Predictions as lines, CSV, JSON and labelled images: the output of ``predict`` and ``classify``."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import echo, percent, print_json, say, say_missing_font, shown
from hubtune.cli.inputs import check_output_file, check_output_folder
from hubtune.cli.options import COUNT, DIR, FILE, engine_options
from hubtune.errors import DataError, UsageError, writing
from hubtune.storage.atomic import write_csv
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune import Model, Prediction
    from hubtune.inference.explanation import ImageExplanation


@dataclass(frozen=True)
class PredictionOutput:
    top: int  # number of classes to name
    csv_file: Path | None  # with one row per image
    as_json: bool  # whether one JSON document goes to stdout
    scores: bool  # whether CSV and JSON have the scores of all classes
    save: Path | None  # a folder for labelled images and a contact sheet
    explain: bool = False  # whether these show where the model looked
    reject: bool = False  # whether images of another kind get no label
    sort_into: Path | None = None  # a folder with one for each predicted class
    link: bool = False  # whether hard links are made in it in place of copies

    def check_targets(self, paths: Sequence[str]) -> None:
        """Refuse files and folders that cannot be written, before any work is done.

        Raises:
            UsageError: there is one.
            MachineError: a folder cannot be written.
        """
        check_output_file(self.csv_file, "--csv")
        if self.explain and self.save is None:
            raise UsageError("--explain draws on the pictures of --save DIR: add it, or use hubtune explain")
        if self.link and self.sort_into is None:
            raise UsageError("--link goes with --sort-into DIR")
        if self.save is not None:
            check_output_folder(self.save, "--save")
            if any(Path(path).resolve().parent == self.save.resolve() for path in paths):
                raise UsageError(
                    f"--save {self.save} has pictures that would be predicted: name another folder"
                )
        if self.sort_into is not None:
            check_output_folder(self.sort_into, "--sort-into")
            inside = self.sort_into.resolve()
            if any(Path(path).resolve().is_relative_to(inside) for path in paths):
                raise UsageError(
                    f"--sort-into {self.sort_into} holds pictures that would be sorted: name another folder"
                )

    def predict(self, model: "Model", name: str, paths: Sequence[str], *, batch_size: int) -> None:
        """Predict images, and write the predictions, one row per image, in order.

        Exits with the code of a data error if no image can be read.
        """
        from hubtune.cli.progress import counting_bar

        top = min(self.top, len(model.labels))
        rows = []
        width = path_width(paths)
        quiet = self.csv_file or self.as_json or self.save or self.sort_into
        with counting_bar("predicting") if quiet else nullcontext() as advance:
            for row in model.predict(paths, reject=self.reject, batch_size=batch_size):
                rows.append(row)
                if not (self.csv_file or self.as_json):
                    echo(f"{padded(row.path, width)}  {_format_row(row, top)}")
                if advance is not None:
                    advance(len(rows), len(paths))
        if self.csv_file:
            with_similarity = model.reference is not None
            _write_csv(self.csv_file, rows, top, model.labels if self.scores else [], with_similarity)
        if self.save:
            self._save(self.save, model, rows)
        if self.sort_into:
            from hubtune.report.sorted_folders import sort_into_folders

            counts = sort_into_folders(self.sort_into, rows, model.labels, link=self.link)
            for folder, count in sorted(counts.items()):
                say(f"{shown(self.sort_into / folder)}: {plural(count, 'picture')}")
        if self.as_json:
            print_json({"model": name, "rows": [row.as_dict(top=top, scores=self.scores) for row in rows]})
        if self.csv_file:
            say(f"{len(rows):,} rows written to {shown(self.csv_file)}")
        if rejected := sum(row.rejected for row in rows):
            say(f"No label: {rejected:,} of {len(rows):,} pictures, unlike all training pictures")
        report_unreadable(sum(row.error is not None for row in rows), len(rows))

    def _save(self, folder: Path, model: "Model", rows: "Sequence[Prediction]") -> None:
        from hubtune.report.labelled_images import CONTACT_SHEET, save_labelled_images

        explanations: Iterable[ImageExplanation] = ()
        if self.explain:
            from hubtune.inference.explanation import explain_images

            explanations = explain_images(model, [row.path for row in rows])
        bits = model.card.preprocessing.bits
        complete = save_labelled_images(folder, rows, model.labels, explanations, bits=bits)
        say(f"Labelled pictures and {CONTACT_SHEET} written to {shown(folder)}")
        if not complete:
            say_missing_font("the pictures have")


def prediction_options(top: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of a :class:`PredictionOutput`, its argument ``output``, and of the engine.

    ``top`` is the default of ``--top``.
    """
    options = [
        click.option("--top", type=COUNT, default=top, help="How many classes to name."),
        click.option("--csv", "csv_file", type=FILE, help="Write one row per picture."),
        click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON."),
        click.option("--scores", is_flag=True, help="All classes' scores, in CSV and JSON."),
        click.option("--save", type=DIR, help="Write labelled pictures and a contact sheet."),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(
            *, top: int, csv_file: Path | None, as_json: bool, scores: bool, save: Path | None, **more: Any
        ) -> Any:
            return command(output=PredictionOutput(top, csv_file, as_json, scores, save), **more)

        decorated = engine_options(call)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def path_width(paths: Sequence[str]) -> int:
    """Return the number of cells of a terminal for a column of paths."""
    from rich.cells import cell_len

    return min(60, max((cell_len(shown(path)) for path in paths), default=0))


def padded(path: str, width: int) -> str:
    """Return a path as the terminal shows it, filled up to a width in cells."""
    from rich.cells import cell_len

    return shown(path) + " " * max(0, width - cell_len(shown(path)))


def report_unreadable(unreadable: int, count: int) -> None:
    """Say how many images could not be read; if none could, exit with the code of a data error."""
    if unreadable:
        say(f"{unreadable} of {count:,} pictures could not be read; their rows say why")
    if unreadable == count:
        click.get_current_context().exit(DataError.exit_code)


def _format_row(row: "Prediction", top: int) -> str:
    if row.error is not None:
        return f"— {row.error}"
    if row.rejected:
        return f"unknown (nearest: {shown(row.nearest)})"
    scores = " · ".join(f"{shown(label)} {percent(score)}" for label, score in _top(row, top))
    return scores if row.known is not False else f"{scores} (unlike all training pictures)"


def _top(row: "Prediction", top: int) -> list[tuple[str, float]]:
    return list(row.scores.items())[:top]


def _write_csv(
    file: Path, rows: "list[Prediction]", top: int, labels: Sequence[str], with_similarity: bool
) -> None:
    columns = [f"{what}{place}" for place in range(2, top + 1) for what in ("label", "score")]
    table: list[list[object]] = []
    for row in rows:
        further: list[object] = [value for pair in _top(row, top)[1:] for value in pair]
        further += [""] * (len(columns) - len(further))
        scores = [row.scores.get(label, "") for label in labels]
        judged = [row.known, row.similarity, row.nearest, row.nearest_image] if with_similarity else []
        table.append([row.path, row.label, row.score, *further, row.error, *judged, *scores])
    judged_columns = ["known", "similarity", "nearest", "nearest_image"] if with_similarity else []
    with writing(file):
        write_csv(file, ["path", "label", "score", *columns, "error", *judged_columns, *labels], table)
