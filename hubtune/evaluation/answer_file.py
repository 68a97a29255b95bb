"""A CSV file of answers, a row an image, from which the same figures can be computed again."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.errors import DataError
from hubtune.evaluation.answers import Answers
from hubtune.storage.atomic import write_csv
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular
from hubtune.text import shortened, unescape_cell

_HEADER = (
    *("path", "label", "predicted", "score", "score_of_label", "rank", "second"),
    *("similarity", "nearest_image", "error"),
)


def write_answers(file: Path, answers: Answers, labels: Sequence[str]) -> None:
    """Write answers with the names of the classes; cells that do not exist are empty.

    Raises:
        OSError: the file cannot be written.
    """
    readable = answers.readable.tolist()
    count = len(answers.paths)
    similarity = [None] * count if answers.similarity is None else answers.similarity.tolist()
    columns = (
        answers.paths,
        [labels[number] for number in answers.truth.tolist()],
        [None if number < 0 else labels[number] for number in answers.predicted.tolist()],
        _where(readable, answers.confidence.tolist()),
        _where(readable, answers.probability.tolist()),
        _where(readable, answers.rank.tolist()),
        [None if number < 0 else labels[number] for number in answers.second.tolist()],
        [None if value is None or math.isnan(value) else value for value in similarity],
        answers.nearest or [None] * count,
        answers.errors,
    )
    write_csv(file, _HEADER, zip(*columns, strict=True))


def _where(readable: Sequence[bool], values: Sequence[float]) -> list[float | None]:
    return [value if known else None for value, known in zip(values, readable, strict=True)]


def read_answers(file: Path, labels: Sequence[str]) -> Answers:
    """Read what :func:`write_answers` wrote; numbers have the same bits.

    Args:
        file: the CSV file.
        labels: class names, in the order of their numbers.

    Raises:
        DataError: the file cannot be read, or a line has something else than expected.
    """
    try:
        text = read_regular(file, MOST_LIST_BYTES).decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}): check its name") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    number_of = {name: number for number, name in enumerate(labels)}
    rows = []
    try:
        if tuple(next(reader, ())) != _HEADER:
            raise ValueError("the first line has other columns")
        for cells in reader:
            rows.append(_parse([unescape_cell(cell) for cell in cells], number_of))
    except (ValueError, csv.Error) as error:
        advice = "write the file again by hubtune evaluate --predictions"
        raise DataError(f"{file}, line {reader.line_num}: {error}: {advice}") from error
    columns = list(zip(*rows, strict=True)) or [()] * len(_HEADER)
    paths, truth, predicted, confidence, probability, rank, second, similarity, nearest, errors = columns
    return Answers(
        paths=list(paths),
        truth=np.array(truth, np.int64),
        predicted=np.array(predicted, np.int64),
        confidence=np.array(confidence, np.float64),
        probability=np.array(probability, np.float64),
        rank=np.array(rank, np.int64),
        second=np.array(second, np.int64),
        errors=list(errors),
        similarity=None if set(similarity) <= {None} else np.array(similarity, np.float64),
        nearest=list(nearest) if any(nearest) else None,
    )


def _parse(cells: Sequence[str], number_of: Mapping[str, int]) -> tuple[Any, ...]:
    """Return the values of a line in the order of the columns; ``ValueError`` if it is not as expected."""
    if len(cells) != len(_HEADER):
        raise ValueError(f"it has {len(cells)} cells, not {len(_HEADER)}")
    path, label, predicted, score, score_of_label, rank, second, similarity, nearest, error = cells
    for name in (label, predicted, second):
        if name not in number_of and (name or name is label):
            raise ValueError(f"'{shortened(name)}' is not a class of the model")
    return (
        path,
        number_of[label],
        number_of[predicted] if predicted else -1,
        float(score or "nan"),
        float(score_of_label or "nan"),
        int(rank or -1),
        number_of[second] if second else -1,
        float(similarity) if similarity else None,
        nearest or None,
        error or None,
    )
