"""Rows of features as files, and parts joined to what one run would have written."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hubtune.errors import DataError, UsageError, writing
from hubtune.inference.part_files import Part, PartFolder
from hubtune.storage.atomic import replacing
from hubtune.text import escape_cell, unescape_cell

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Embeddings:
    """Features of images: float32 ``[images, width]``, nan in the rows of unreadable ones.

    Attributes:
        paths: of the images, as they were passed in.
        errors: why an image could not be read; empty if it could.
        features: a row for each image.
    """

    paths: Sequence[str]
    errors: Sequence[str]
    features: "np.ndarray"

    @property
    def unreadable(self) -> int:
        return sum(map(bool, self.errors))

    def content(self, suffix: str) -> bytes:
        """Return a file of this ending as bytes."""
        file = io.BytesIO()
        WRITERS[suffix](file, self)
        return file.getvalue()


def gather_features(folder: Path, target: Path) -> Embeddings:
    """Join the parts in a folder to the file of one run over all images, and return its rows.

    Raises:
        UsageError: the parts have another format than the file.
        DataError: the parts are not complete, or not of one result.
        MachineError: the file cannot be written.
    """
    import numpy as np

    parts = PartFolder(folder).read_all("embed")
    first = parts[0].record
    if first["suffix"] != target.suffix.lower():
        raise UsageError(f"The parts in {folder} are {first['suffix']} files: name such a file with -o")
    paths, errors = [""] * first["pictures"], [""] * first["pictures"]
    joined: np.ndarray | None = None
    for part in parts:
        places = part.record["positions"]
        rows = _read_rows(part)
        if joined is None:
            joined = np.full((first["pictures"], rows.features.shape[1]), np.nan, np.float32)
        if rows.features.shape != (len(places), joined.shape[1]):
            raise DataError(f"{part.file} has other rows than its record says: make it again")
        joined[places] = rows.features
        for place, path, error in zip(places, rows.paths, rows.errors, strict=True):
            paths[place], errors[place] = path, error
    assert joined is not None
    result = Embeddings(paths, errors, joined)
    with writing(target), replacing(target) as file:
        WRITERS[target.suffix.lower()](file, result)
    return result


def _read_rows(part: Part) -> Embeddings:
    import numpy as np

    if part.file.suffix == ".npz":
        try:
            with np.load(part.file, allow_pickle=False) as arrays:
                return Embeddings(arrays["paths"].tolist(), arrays["errors"].tolist(), arrays["features"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{part.file} cannot be read: make it again") from error
    with part.file.open(newline="", encoding="utf-8", errors="surrogateescape") as text:
        (_, _, *columns), *rows = csv.reader(text)
    values = [[float(cell) if cell else np.nan for cell in row[2:]] for row in rows]
    features = np.array(values, np.float32).reshape(len(rows), len(columns))
    return Embeddings(
        [unescape_cell(row[0]) for row in rows], [unescape_cell(row[1]) for row in rows], features
    )


def _write_npz(file: BinaryIO, rows: Embeddings) -> None:
    import numpy as np

    np.savez(file, features=rows.features, paths=np.array(rows.paths), errors=np.array(rows.errors))


def _write_csv(file: BinaryIO, rows: Embeddings) -> None:
    text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
    writer = csv.writer(text)  # with its CR LF: with other line ends, a CR in a name would not be quoted
    writer.writerow(["path", "error", *(f"f{number}" for number in range(rows.features.shape[1]))])
    for path, error, row in zip(rows.paths, rows.errors, rows.features, strict=True):
        # Nine digits restore every float32 exactly.
        values = [""] * len(row) if error else [f"{value:.9g}" for value in row]
        writer.writerow([escape_cell(path), escape_cell(error), *values])
    text.flush()
    text.detach()  # otherwise it would close the file, which is not on the disk yet


WRITERS = {".npz": _write_npz, ".csv": _write_csv}
