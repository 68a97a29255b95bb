"""Save predictions as images with their labels, and as a contact sheet."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from PIL import Image

from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.images.decode import ImageError, decode
from hubtune.errors import writing
from hubtune.inference.explanation import ImageExplanation
from hubtune.inference.prediction import Prediction
from hubtune.report.contact_sheet import MAX_CELLS, SheetCell, draw_contact_sheet, label_image
from hubtune.report.heat_map import draw_heat
from hubtune.text import safe_file_name

CONTACT_SHEET = "contact_sheet.png"
_THUMBNAIL = 256  # pixels, enough for any cell; a hundred photos in full would fill gigabytes


def save_labelled_images(
    folder: Path,
    rows: Sequence[Prediction],
    labels: Sequence[str],
    explanations: Iterable[ImageExplanation] = (),
    *,
    bits: int = FULL_BITS,
) -> bool:
    """Write each image with its label, ``00001-<name>.jpg`` and so on, and a contact sheet.

    The folder is created if it does not exist. Unreadable images are only on the sheet, with the reason.
    ``labels`` are in the order of the model's outputs. With ``explanations`` of the same images, these are
    tinted where the model looked. Files of 16 bits are scaled from ``bits``.

    Returns:
        Whether all labels are drawn; if not, no font on this machine has all their characters.

    Raises:
        MachineError: if the folder cannot be written.
    """
    number_of = {label: number for number, label in enumerate(labels)}
    cells, complete = [], True
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        explained = zip_longest(rows, explanations)
        for number, (row, explanation) in enumerate(explained, start=1):
            image = _read(row, bits)
            if image is None:
                cells.append(SheetCell(None, row.error or "cannot be read any more"))
                continue
            caption = fallback = "unknown"
            named = row.labels or {}
            if row.label is not None and row.score is not None:
                named = {row.label: row.score}
            if named:
                caption = " · ".join(f"{label} {100 * score:.0f} %" for label, score in named.items())
                numbered = {number_of[label]: score for label, score in named.items()}
                fallback = " · ".join(
                    f"class {place}: {100 * score:.0f} %" for place, score in numbered.items()
                )
            elif row.labels is not None and not row.rejected:
                caption = fallback = "no label"
            if explanation is not None and explanation.maps:
                image = draw_heat(image, explanation.heat(*image.size))
            drawing = label_image(image, caption, fallback)
            drawing.image.save(folder / f"{number:05}-{safe_file_name(Path(row.path).stem)}.jpg", quality=90)
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
