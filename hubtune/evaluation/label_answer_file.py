"""A CSV file of answers for labels, a row an image, from which the same figures can be computed again."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.errors import DataError
from hubtune.evaluation.label_answers import LabelAnswers
from hubtune.storage.atomic import write_csv
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular
from hubtune.text import shortened, unescape_cell

_FIRST, _LAST = ("path", "labels", "predicted"), ("similarity", "nearest_image", "error")
SCORE_COLUMN = "score: "
"""Start of the name of a column with the scores of a label, so that a label may be called ``path``."""


def join_labels(names: Iterable[str]) -> str:
    """Return the names of labels as a line of CSV with ``;`` between them: names with one are in quotes."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="").writerow(names)
    return text.getvalue()


def write_label_answers(file: Path, answers: LabelAnswers, labels: Sequence[str]) -> None:
    """Write answers with the names of the labels; cells that do not exist are empty.

    Names of true and of given labels are joined by ``;``; a name with one is in quotes. No label is an empty
    cell. An unreadable image has no given labels and no scores.

    Raises:
        OSError: the file cannot be written.
    """
    count = len(answers.paths)
    similarity = [None] * count if answers.similarity is None else answers.similarity.tolist()
    probabilities: list[list[float | None]] = [
        row if known else [None] * len(labels)
        for row, known in zip(answers.probabilities.tolist(), answers.readable.tolist(), strict=True)
    ]
    columns = (
        answers.paths,
        [join_labels(_own(row, labels)) for row in answers.truth],
        [join_labels(_own(row, labels)) for row in answers.predicted],
        probabilities,
        [None if value is None or math.isnan(value) else value for value in similarity],
        answers.nearest or [None] * count,
        answers.errors,
    )
    rows = (
        (path, truth, predicted, *scores, *more)
        for path, truth, predicted, scores, *more in zip(*columns, strict=True)
    )
    write_csv(file, _header(labels), rows)


def read_label_answers(file: Path, labels: Sequence[str], thresholds: np.ndarray) -> LabelAnswers:
    """Read what :func:`write_label_answers` wrote; numbers have the same bits.

    Args:
        file: the CSV file.
        labels: their names, in the order of the network's outputs.
        thresholds: probability of each label from which on it is given, ``[labels]``.

    Raises:
        DataError: the file cannot be read, or a line has something else than expected, such as given labels
            that do not follow from its probabilities and the thresholds.
    """
    try:
        text = read_regular(file, MOST_LIST_BYTES).decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}): check its name") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    number_of = {name: number for number, name in enumerate(labels)}
    limits, rows = np.array(thresholds, np.float64), []
    try:
        if tuple(map(unescape_cell, next(reader, ()))) != _header(labels):
            raise ValueError("the first line has other columns")
        for cells in reader:
            rows.append(_parse([unescape_cell(cell) for cell in cells], number_of, limits))
    except (ValueError, csv.Error) as error:
        advice = "write the file again by hubtune evaluate --predictions"
        raise DataError(f"{file}, line {reader.line_num}: {error}: {advice}") from error
    paths, truth, probabilities, similarity, nearest, errors = list(zip(*rows, strict=True)) or [()] * 6
    shape = (len(paths), len(labels))
    return LabelAnswers(
        paths=list(paths),
        truth=np.array(truth, bool).reshape(shape),
        probabilities=np.array(probabilities, np.float64).reshape(shape),
        errors=list(errors),
        thresholds=limits,
        similarity=None if set(similarity) <= {None} else np.array(similarity, np.float64),
        nearest=list(nearest) if any(nearest) else None,
    )


def _header(labels: Sequence[str]) -> tuple[str, ...]:
    return (*_FIRST, *(f"{SCORE_COLUMN}{label}" for label in labels), *_LAST)


def _own(row: np.ndarray, labels: Sequence[str]) -> list[str]:
    return [labels[number] for number in np.flatnonzero(row).tolist()]


def _split(cell: str, number_of: Mapping[str, int]) -> np.ndarray:
    """Undo :func:`join_labels`; ``ValueError`` for a name that is no label."""
    row = np.zeros(len(number_of), bool)
    for name in next(csv.reader(io.StringIO(cell, newline=""), delimiter=";"), []):
        if name not in number_of:
            raise ValueError(f"'{shortened(name)}' is not a label of the model")
        row[number_of[name]] = True
    return row


def _parse(cells: Sequence[str], number_of: Mapping[str, int], thresholds: np.ndarray) -> tuple[Any, ...]:
    """Return path, truth, probabilities and the rest of a line; ``ValueError`` if it is not as expected."""
    expected = len(_FIRST) + len(number_of) + len(_LAST)
    if len(cells) != expected:
        raise ValueError(f"it has {len(cells)} cells, not {expected}")
    (path, labels, predicted), scores, (similarity, nearest, error) = cells[:3], cells[3:-3], cells[-3:]
    probabilities = np.array([float(score or "nan") for score in scores])
    if not np.array_equal(_split(predicted, number_of), probabilities >= thresholds):
        raise ValueError("its predicted labels are not those of its scores and the model's thresholds")
    return (
        path,
        _split(labels, number_of),
        probabilities,
        float(similarity) if similarity else None,
        nearest or None,
        error or None,
    )
