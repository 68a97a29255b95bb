"""Predictions as pictures: each with its label, and all on a contact sheet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import ImageError, decode
from hubtune.errors import MachineError
from hubtune.inference.model import Prediction
from hubtune.report.contact_sheet import MOST_CELLS, Cell, contact_sheet, label_image

CONTACT_SHEET = "contact_sheet.png"
_THUMBNAIL = 256  # enough for any cell; whole photos of a hundred cells would fill gigabytes


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        sheet: the contact sheet.
        complete: whether all labels could be drawn; if not, no font on this machine has all of their
            characters, and the classes' numbers stand there.
    """

    sheet: Path
    complete: bool


def save_labelled_images(folder: Path, rows: Sequence[Prediction], labels: Sequence[str]) -> Saved:
    """Write each picture with its label below it, ``00001-<name>.jpg`` and so on, and a contact sheet.

    Args:
        folder: where; made if it is not there.
        rows: the predictions; pictures that cannot be read are on the sheet only, with the reason.
        labels: class names in the order of the model's outputs.

    Raises:
        MachineError: if the folder cannot be written.
    """
    number_of = {label: number for number, label in enumerate(labels)}
    cells, complete = [], True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place, row in enumerate(rows, start=1):
            image = _read(row)
            if image is None or row.label is None or row.score is None:
                cells.append(Cell(None, row.error or "cannot be read any more"))
                continue
            score = f"{100 * row.score:.0f} %"
            caption, fallback = f"{row.label} {score}", f"class {number_of[row.label]}: {score}"
            drawn = label_image(image, caption, fallback)
            drawn.image.save(folder / f"{place:05}-{_plain(Path(row.path).stem)}.jpg", quality=90)
            complete &= drawn.complete
            image.thumbnail((_THUMBNAIL, _THUMBNAIL))
            cells.append(Cell(image if place <= MOST_CELLS else None, caption, fallback=fallback))
        sheet = contact_sheet(cells, columns=6 if len(cells) <= 30 else 10)
        sheet.image.save(folder / CONTACT_SHEET)
    except OSError as error:
        raise MachineError(f"{folder} cannot be written: {error.strerror or error}") from error
    return Saved(folder / CONTACT_SHEET, complete and sheet.complete)


def _read(row: Prediction) -> Image.Image | None:
    if row.error is not None:
        return None
    try:
        return decode(row.path)
    except ImageError:
        return None


def _plain(stem: str) -> str:
    """A file name that every system takes."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", stem).encode("utf-8", errors="replace")[:120]
    return plain.decode("utf-8", errors="ignore").strip(" .")
