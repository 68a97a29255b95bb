"""Draw what the network sees of training images: in evaluation, in each epoch, and mixed with others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.decode import ImageError, with_channels
from hubtune.data.images.mixup import mix_batch
from hubtune.data.images.preprocessing import Preprocessing, array_to_image, image_to_array
from hubtune.data.listing import ImageEntry
from hubtune.errors import writing
from hubtune.recipe.augment import AugmentSettings
from hubtune.report.contact_sheet import Drawing, SheetCell, draw_contact_sheet
from hubtune.rng import rng_for
from hubtune.storage.atomic import replacing
from hubtune.storage.regular_file import open_regular

_SIDE = 224  # of an image on the sheet, pixels: most networks' input without scaling
# PNG stores this among its first bytes. It distinguishes a preview from other images when one is replaced.
_SOFTWARE = "hubtune data preview"
_MARK = b"tEXtSoftware\0" + _SOFTWARE.encode()


@dataclass(frozen=True)
class PreviewSource:
    """A training list, the names of its classes or sets of labels, and how a run prepares the images."""

    entries: list[ImageEntry]
    labels: list[str]
    view: Preprocessing  # in evaluation
    settings: AugmentSettings  # in training
    name: str  # where the settings come from: a preset or a recipe
    seed: int  # of the run


@dataclass(frozen=True)
class PreviewRow:
    """A training image as the network sees it, uint8 ``[height, width, channels]`` each."""

    entry: ImageEntry
    plain: np.ndarray  # in evaluation
    epochs: list[np.ndarray]  # in each epoch of training, from the first


def make_rows(source: PreviewSource, *, count: int, epochs: int) -> tuple[list[PreviewRow], list[ImageError]]:
    """Prepare ``count`` images, drawn at random, the classes in turn, exactly as a run with this seed does.

    Returns:
        The rows, ordered by class, and the errors of images that cannot be read.
    """
    rows: dict[int, PreviewRow] = {}
    errors = []
    for index in _draw_in_turn([entry.label for entry in source.entries], source.seed):
        entry = source.entries[index]
        try:
            plain = image_to_array(source.view.read(entry.path))
            image = read_image(entry.path, source.view, source.settings)
        except ImageError as error:
            errors.append(error)
            continue
        randoms = (rng_for(source.seed, "augment", epoch, index) for epoch in range(epochs))
        augmented = [augment_image(image, source.view, source.settings, random) for random in randoms]
        rows[index] = PreviewRow(entry, plain, augmented)
        if len(rows) == count:
            break
    return [rows[index] for index in sorted(rows, key=lambda index: (rows[index].entry.label, index))], errors


def _draw_in_turn(labels: Sequence[int], seed: int) -> list[int]:
    order = rng_for(seed, "preview").permutation(len(labels)).tolist()
    counts: Counter[int] = Counter()
    turns = {}
    for index in order:
        turns[index] = counts[labels[index]]
        counts[labels[index]] += 1
    return sorted(order, key=turns.__getitem__)


def draw_preview(source: PreviewSource, rows: Sequence[PreviewRow]) -> Drawing:
    """Draw a row of the sheet for each of at least one row, then a row each of mixup and CutMix images."""
    columns = 1 + len(rows[0].epochs)
    cells = [cell for row in rows for cell in _row_cells(source, row)]
    cells += [cell for kind in ("mixup", "cutmix") for cell in _mixed_cells(source, rows, kind, columns)]
    title = f"{source.name}: {source.view.description}, seed {source.seed}"
    return draw_contact_sheet(cells, columns=columns, side=_SIDE, title=title)


def _row_cells(source: PreviewSource, row: PreviewRow) -> Iterator[SheetCell]:
    label = row.entry.label
    yield SheetCell(_to_rgb(row.plain), source.labels[label], fallback=f"class {label}")
    for epoch, pixels in enumerate(row.epochs, start=1):
        yield SheetCell(_to_rgb(pixels), f"epoch {epoch}")


def _to_rgb(pixels: np.ndarray) -> Image.Image:
    return with_channels(array_to_image(pixels), 3)


def _mixed_cells(
    source: PreviewSource, rows: Sequence[PreviewRow], kind: str, count: int
) -> Iterator[SheetCell]:
    off = {other: 0.0 for other in ("mixup", "cutmix") if other != kind}
    settings = source.settings.model_copy(update=off)
    if not settings.mixes:
        return
    scale, shift = source.view.scale_and_shift
    labels = [row.entry.label for row in rows]
    targets = np.eye(len(source.labels), dtype=np.float32)[labels]
    for number in range(count):
        step, index = divmod(number, len(rows))
        inputs = [source.view.normalise(row.epochs[step % len(row.epochs)]) for row in rows]
        random = rng_for(source.seed, "mix", step)
        mixed, mixed_targets = mix_batch(inputs, targets, settings, random)
        pixels = (mixed[index] + shift[:, None, None]) / scale[:, None, None]
        image = _to_rgb(np.rint(pixels.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0))
        shares = mixed_targets[index]
        classes = [label for label in np.argsort(-shares, kind="stable").tolist() if shares[label]]
        caption = " + ".join(f"{100 * shares[label]:.0f} % {source.labels[label]}" for label in classes)
        fallback = " + ".join(f"{100 * shares[label]:.0f} % class {label}" for label in classes)
        yield SheetCell(image, caption, fallback=fallback)


def is_preview(path: Path) -> bool:
    """Whether a file was written by :func:`save_preview`."""
    try:
        with open_regular(path) as file:
            return _MARK in file.read(256)
    except OSError:
        return False  # a broken link, or no permission


def save_preview(path: Path, sheet: Image.Image) -> None:
    """Write a preview as a PNG file; a :class:`~hubtune.errors.MachineError` if it cannot be written."""
    info = PngInfo()
    info.add_text("Software", _SOFTWARE)
    with writing(path), replacing(path) as file:
        sheet.save(file, "PNG", pnginfo=info)
