"""Save predictions as images with their labels, and as a contact sheet."""

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.images.decode import ImageError, decode
from hubtune.errors import writing
from hubtune.inference.prediction import Prediction
from hubtune.report.contact_sheet import MAX_CELLS, SheetCell, draw_contact_sheet, label_image

CONTACT_SHEET = "contact_sheet.png"
_THUMBNAIL = 256  # pixels, enough for any cell; a hundred photos in full would fill gigabytes


def save_labelled_images(
    folder: Path, rows: Sequence[Prediction], labels: Sequence[str], *, bits: int = FULL_BITS
) -> bool:
    """Write each image with its label, ``00001-<name>.jpg`` and so on, and a contact sheet.

    The folder is created if it does not exist. Unreadable images are only on the sheet, with the reason.
    ``labels`` are in the order of the model's outputs. Files of 16 bits are scaled from ``bits``.

    Returns:
        Whether all labels are drawn; if not, no font on this machine has all their characters.

    Raises:
        MachineError: if the folder cannot be written.
    """
    number_of = {label: number for number, label in enumerate(labels)}
    cells, complete = [], True
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(rows, start=1):
            image = _read(row, bits)
            if image is None or row.label is None or row.score is None:
                cells.append(SheetCell(None, row.error or "cannot be read any more"))
                continue
            score = f"{100 * row.score:.0f} %"
            caption, fallback = f"{row.label} {score}", f"class {number_of[row.label]}: {score}"
            drawing = label_image(image, caption, fallback)
            drawing.image.save(folder / f"{number:05}-{_safe_stem(row.path)}.jpg", quality=90)
            complete &= drawing.complete
            image.thumbnail((_THUMBNAIL, _THUMBNAIL))
            cells.append(SheetCell(image if number <= MAX_CELLS else None, caption, fallback=fallback))
        sheet = draw_contact_sheet(cells, columns=6 if len(cells) <= 30 else 10)
        sheet.image.save(folder / CONTACT_SHEET)
    return complete and sheet.complete


def _read(row: Prediction, bits: int) -> Image.Image | None:
    if row.error is not None:
        return None
    try:
        return decode(row.path, bits=bits)
    except ImageError:
        return None


def _safe_stem(path: str) -> str:
    """The stem of a file name that every system accepts."""
    stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", Path(path).stem).encode("utf-8", errors="replace")[:120]
    return stem.decode("utf-8", errors="ignore").strip(" .")
