"""Predictions as lines, CSV, JSON and labelled images: the output of ``predict`` and ``classify``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import echo, percent, print_json, say, say_missing_font, shown
from hubtune.cli.inputs import check_output_file, check_output_folder
from hubtune.cli.options import COUNT, DIR, FILE, engine_options
from hubtune.errors import DataError, UsageError, writing
from hubtune.messages.translation import translate
from hubtune.storage.address import name_of
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
        predicted = model.predict(paths, reject=self.reject, batch_size=batch_size)
        names = {path: name_of(path) for path in paths}
        self.write(model, name, predicted, len(paths), path_width([*names.values()]), names)

    def check_model(self, model: "Model") -> None:
        """Refuse what a multi-label model cannot do.

        Raises:
            UsageError: it was asked for.
        """
        if self.sort_into is not None and model.card.multi_label:
            raise UsageError(
                "--sort-into puts each picture into one folder, and this model gives several labels: use "
                "--csv FILE"
            )

    def check_for_shards(self) -> None:
        """Refuse what needs the files of the images, which are in shards.

        Raises:
            UsageError: it was asked for.
        """
        if self.save is not None or self.sort_into is not None:
            raise UsageError("--save and --sort-into need picture files, and these are in shards: use --csv")
        self.check_targets([])

    def write(
        self,
        model: "Model",
        name: str,
        predicted: "Iterable[Prediction]",
        count: int,
        width: int = 0,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write predictions as they come, ``count`` of them.

        ``width`` is that of the column of paths; ``names`` are the paths' names for people, if they differ.
        """
        from hubtune.cli.progress import counting_bar

        self.check_model(model)
        top = min(self.top, len(model.labels))
        rows = []
        quiet = self.csv_file or self.as_json or self.save or self.sort_into
        with counting_bar("predicting") if quiet else nullcontext() as advance:
            for row in predicted:
                rows.append(row if self.scores else without_further_scores(row, top))
                if not (self.csv_file or self.as_json):
                    echo(
                        f"{padded(names.get(row.path, row.path), width)}  {translate(_format_row(row, top))}"
                    )
                if advance is not None:
                    advance(len(rows), count)
        named = [replace(row, path=names.get(row.path, row.path)) for row in rows]
        if self.csv_file:
            table = table_of(model, named, top, scores=self.scores)
            with writing(self.csv_file):
                write_csv(self.csv_file, *table)
        if self.save:
            self._save(self.save, model, rows)
        if self.sort_into:
            from hubtune.report.sorted_folders import sort_into_folders

            counts = sort_into_folders(self.sort_into, rows, model.labels, link=self.link)
            for folder, count in sorted(counts.items()):
                say(f"{shown(self.sort_into / folder)}: {plural(count, 'picture')}")
        if self.as_json:
            print_json({"model": name, "rows": [row.as_dict(top=top, scores=self.scores) for row in named]})
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
        return f"unknown (nearest: {shown(row.nearest or row.nearest_image)})"
    named = _top(row, top) if row.labels is None else row.labels.items()
    scores = " · ".join(f"{shown(label)} {percent(score)}" for label, score in named)
    if not scores:
        label, score = _top(row, 1)[0]
        scores = f"no label (most likely {shown(label)} {percent(score)})"
    return scores if row.known is not False else f"{scores} (unlike all training pictures)"


def _top(row: "Prediction", top: int) -> list[tuple[str, float]]:
    return list(row.scores.items())[:top]


def without_further_scores(row: "Prediction", top: int) -> "Prediction":
    """Return the prediction with its highest scores only: with 1000 classes, all take 100 KB a picture."""
    return replace(row, scores=dict(_top(row, top)))


def table_of(
    model: "Model", rows: "Iterable[Prediction]", top: int, *, scores: bool
) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of a CSV file of a model's predictions, perhaps with all ``scores``."""
    labels = model.labels if scores else []
    multi_label = model.card.multi_label
    return prediction_table(rows, top, labels, model.reference is not None, multi_label=multi_label)


def prediction_table(
    rows: "Iterable[Prediction]",
    top: int,
    labels: Sequence[str],
    with_similarity: bool,
    *,
    multi_label: bool = False,
) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of a CSV file of predictions.

    Args:
        rows: the predictions.
        top: number of classes to name.
        labels: classes that get a column with their score.
        with_similarity: whether the model has features of training images.
        multi_label: whether the model is, so that a row has all labels of an image, joined by ``;``; a name
            that has one is in quotes.
    """
    columns = [f"{what}{place}" for place in range(2, top + 1) for what in ("label", "score")]
    table: list[list[object]] = []
    judged_columns = ["known", "similarity", "nearest", "nearest_image"] if with_similarity else []
    if multi_label:
        from hubtune.evaluation.label_answer_file import SCORE_COLUMN, join_labels

        for row in rows:
            judged = [row.known, row.similarity, row.nearest, row.nearest_image] if with_similarity else []
            given = row.labels or {}
            joined = join_labels(given), ";".join(str(score) for score in given.values())
            table.append(
                [row.path, *joined, row.error, *judged, *(row.scores.get(name, "") for name in labels)]
            )
        score_columns = [f"{SCORE_COLUMN}{name}" for name in labels]
        return ["path", "labels", "label_scores", "error", *judged_columns, *score_columns], table
    for row in rows:
        further: list[object] = [value for pair in _top(row, top)[1:] for value in pair]
        further += [""] * (len(columns) - len(further))
        scores = [row.scores.get(label, "") for label in labels]
        judged = [row.known, row.similarity, row.nearest, row.nearest_image] if with_similarity else []
        table.append([row.path, row.label, row.score, *further, row.error, *judged, *scores])
    return ["path", "label", "score", *columns, "error", *judged_columns, *labels], table
